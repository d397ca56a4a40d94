#include <gtest/gtest.h>

#include "common/checkpoint/checkpoint.h"
#include "common/checkpoint/internal/pickle.h"
#include "tests/common/checkpoint/sample_files.h"

namespace skein {
namespace {

std::string sentence(const std::string& file) {
  const auto read = read_checkpoint(as_bytes(file), "m.pth");
  return read ? "accepted" : to_string(read.error());
}

void expect_same(const Checkpoint& read, const std::vector<SampleTensor>& expected) {
  ASSERT_EQ(read.tensors.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(read.tensors[i].name, expected[i].name);
    EXPECT_EQ(read.tensors[i].shape, expected[i].shape);
    EXPECT_EQ(read.tensors[i].format, expected[i].format);
    EXPECT_EQ(as_text(read.tensors[i].data), expected[i].data);
  }
}

// One float tensor "w" of `shape` in a storage of `stored` floats, as the pickle's only entry.
std::string pth_with_view(const PickledView& view, std::size_t stored) {
  const SampleTensor storage{"w", {}, Format::kF32, std::string(stored * 4, 'x')};
  const std::string pickle = "\x80\x02}" + pickled_text("w") + pickled_tensor(view) + "s.";
  return zip_of(pth_entries(pickle, {storage}));
}

TEST(Pth, GivesEveryTensorWithItsNameShapeFormatAndBytes) {
  const auto tensors = three_tensors();
  const std::string file = pth_of(tensors);
  const auto read = read_checkpoint(as_bytes(file), "m.pth");
  ASSERT_TRUE(read) << to_string(read.error());
  EXPECT_EQ(read->kind, CheckpointKind::kPth);
  expect_same(*read, tensors);
}

TEST(Pth, ReadsZip64Records) {
  const auto tensors = three_tensors();
  const std::string file = pth_of(tensors, {.zip64 = true});
  const auto read = read_checkpoint(as_bytes(file), "m.pth");
  ASSERT_TRUE(read) << to_string(read.error());
  expect_same(*read, tensors);
}

TEST(Pth, ReadsOrderedDictsParametersAndProtocolFour) {
  // An OrderedDict, filled, with attributes set (BUILD), protocol 4 names, memo and frames.
  std::string pickle = "\x80\x04\x95";
  std::string body =
      "\x8c\x0b"
      "collections"
      "\x8c\x0b"
      "OrderedDict"
      "\x93\x94)R\x94(";
  body += "\x8c\x01w\x8c\x0ctorch._utils\x8c\x12_rebuild_parameter\x93(";
  body += pickled_tensor(
      {.storage = pickled_storage("HalfStorage", "0", 6), .shape = {2, 3}, .strides = {3, 1}});
  const char recall[] = {'h', 0};  // the name OrderedDict
  body += std::string("\x89") + std::string(recall, 2) + ")RtRu}\x8c\x09_metadatas.";
  // }, key and value of the attribute dictionary: {"_metadata": None}
  body.resize(body.size() - 2);
  body += "Nsb.";
  put<std::uint64_t>(pickle, body.size());
  const SampleTensor tensor{"w", {2, 3}, Format::kF16, "abcdefghijkl"};
  const std::string file = zip_of(pth_entries(pickle + body, {tensor}));
  const auto read = read_checkpoint(as_bytes(file), "m.pth");
  ASSERT_TRUE(read) << to_string(read.error());
  expect_same(*read, {tensor});
}

TEST(Pth, GivesAViewIntoAStorage) {
  const std::string file = pth_with_view({.storage = pickled_storage("FloatStorage", "0", 10),
                                          .first = 4,
                                          .shape = {3, 1, 2},
                                          .strides = {2, 77, 1}},
                                         10);
  const auto read = read_checkpoint(as_bytes(file), "m.pth");
  ASSERT_TRUE(read) << to_string(read.error());
  EXPECT_EQ(read->tensors[0].data.size(), 24U);
}

TEST(Pth, RefusesAStridedView) {
  const std::string file = pth_with_view(
      {.storage = pickled_storage("FloatStorage", "0", 6), .shape = {3, 2}, .strides = {1, 3}}, 6);
  EXPECT_EQ(sentence(file),
            "tensor \"w\" is a strided view (m.pth, \"archive/data/0\"): call .contiguous() on "
            "every tensor before torch.save");
}

TEST(Pth, RefusesTensorsOutsideTheirStorage) {
  const std::string storage = pickled_storage("FloatStorage", "0", 6);
  const PickledView too_late{.storage = storage, .first = 1, .shape = {3, 2}, .strides = {2, 1}};
  EXPECT_NE(sentence(pth_with_view(too_late, 6)).find("cannot hold"), std::string::npos);
  const PickledView huge{
      .storage = storage, .shape = {0x7FFFFFFF, 0x7FFFFFFF}, .strides = {0x7FFFFFFF, 1}};
  EXPECT_NE(sentence(pth_with_view(huge, 6)).find("cannot hold"), std::string::npos);
  const PickledView fine{.storage = storage, .shape = {6}, .strides = {1}};
  EXPECT_NE(sentence(pth_with_view(fine, 5)).find("wrong size"), std::string::npos);
  EXPECT_EQ(sentence(pth_with_view(fine, 6)), "accepted");
  const PickledView elsewhere{
      .storage = pickled_storage("FloatStorage", "9", 6), .shape = {6}, .strides = {1}};
  EXPECT_NE(sentence(pth_with_view(elsewhere, 6)).find("no storage"), std::string::npos);
}

TEST(Pth, NeverCallsWhatThePickleNames) {
  const std::string pickle =
      "\x80\x02"
      "cos\nsystem\n" +
      pickled_text("echo owned") + "\x85R.";
  EXPECT_EQ(sentence(zip_of(pth_entries(pickle, {}))),
            "the pickle asks for \"os.system\", which a state dict of weights does not need "
            "(m.pth, data.pkl byte 2): save only the model's state_dict() of f32, f16 or bf16 "
            "tensors with torch.save");
}

TEST(Pth, NamesTheOpcodeAndOffsetItDoesNotKnow) {
  const std::string pickle = "\x80\x02}i.";
  EXPECT_NE(sentence(zip_of(pth_entries(pickle, {}))).find("opcode 0x69"), std::string::npos);
  EXPECT_NE(sentence(zip_of(pth_entries(pickle, {}))).find("data.pkl byte 3"), std::string::npos);
}

TEST(Pth, BoundsNestingStackAndSharedShapes) {
  const std::string deep = "\x80\x02" + std::string(100, '(') + ".";
  EXPECT_NE(sentence(zip_of(pth_entries(deep, {}))).find("too deeply"), std::string::npos);
  const std::string wide = "\x80\x02" + std::string(kMaxPickleValues + 1, 'N') + ".";
  EXPECT_NE(sentence(zip_of(pth_entries(wide, {}))).find("too many values"), std::string::npos);
  const PickledView flat{.storage = pickled_storage("FloatStorage", "0", 1),
                         .shape = std::vector<std::uint32_t>(9, 1),
                         .strides = std::vector<std::uint32_t>(9, 1)};
  EXPECT_NE(sentence(pth_with_view(flat, 1)).find("too many dimensions"), std::string::npos);
}

TEST(Pth, RefusesEncryptedAndCompressedEntries) {
  auto entries = pth_entries(pickle_of(three_tensors()), three_tensors());
  entries[2].method = 8;
  EXPECT_EQ(sentence(zip_of(entries)),
            "zip entry \"archive/data/0\" is compressed (m.pth, byte " +
                std::to_string(30 + 16 + entries[0].data.size() + 30 + 17 + 6) +
                "): save the model again with torch.save, or repack it with zip -0");
  entries[2].method = 0;
  entries[2].flags = 1;
  EXPECT_NE(sentence(zip_of(entries)).find("is encrypted"), std::string::npos);
}

TEST(Pth, RefusesOverlappingMissingAndDamagedEntries) {
  const auto tensors = three_tensors();
  EXPECT_NE(sentence(pth_of(tensors, {.shift_offset = -3})).find("no local header"),
            std::string::npos);
  EXPECT_NE(sentence(zip_of({{"readme", "text"}})).find("has no data.pkl"), std::string::npos);
  std::string flipped = pth_of(tensors);
  flipped[flipped.find(tensors[0].data)] ^= 0x10;
  EXPECT_NE(sentence(flipped).find("does not match its checksum"), std::string::npos);
  auto twice = pth_entries(pickle_of(tensors), tensors);
  twice.push_back(twice[0]);
  EXPECT_NE(sentence(zip_of(twice)).find("is there twice"), std::string::npos);
  auto big_endian = pth_entries(pickle_of(tensors), tensors);
  big_endian[1].data = "big";
  EXPECT_NE(sentence(zip_of(big_endian)).find("not little-endian"), std::string::npos);
}

TEST(Pth, AnyTruncationIsRefused) {
  const std::string file = pth_of(three_tensors());
  for (std::size_t bytes = 0; bytes < file.size(); ++bytes) {
    EXPECT_NE(sentence(file.substr(0, bytes)), "accepted") << bytes;
  }
}

TEST(Pth, AnyFlippedBitIsRefusedOrHarmless) {
  // Harmless: fields nobody reads (times, versions). Then the tensors must be the same.
  const auto tensors = three_tensors();
  const std::string file = pth_of(tensors);
  for (std::size_t bit = 0; bit < file.size() * 8; ++bit) {
    std::string flipped = file;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const auto read = read_checkpoint(as_bytes(flipped), "m.pth");
    if (read) expect_same(*read, tensors);
  }
}

TEST(Pth, OldTorchFilesGetTheirOwnSentence) {
  const std::string old("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8P\x19.", 15);
  EXPECT_EQ(sentence(old),
            "this is the file format of PyTorch before 1.6 (m.pth, byte 0): load it and save it "
            "again with a newer torch.save");
}

}  // namespace
}  // namespace skein
