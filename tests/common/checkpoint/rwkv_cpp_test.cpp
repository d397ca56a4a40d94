#include <gtest/gtest.h>

#include "common/checkpoint/checkpoint.h"
#include "tests/common/checkpoint/sample_files.h"

namespace skein {
namespace {

std::string sentence(const std::string& file) {
  const auto read = read_checkpoint(as_bytes(file), "m.bin");
  return read ? "accepted" : to_string(read.error());
}

std::string v7_file() {
  return rwkv_cpp_header(101, 1) +
         rwkv_cpp_tensor(
             {"blocks.0.att.x_rwkvag", {6, 1, 1}, Format::kF32, "rrrrwwwwkkkkvvvvaaaagggg"}, 0) +
         rwkv_cpp_tensor({"blocks.0.att.k_k", {1, 1, 1}, Format::kF32, "KKKK"}, 0) +
         rwkv_cpp_tensor({"blocks.0.att.w1", {2, 3}, Format::kF16, "AaBbCcDdEeFf"}, 1) +
         rwkv_cpp_tensor({"blocks.0.att.key.weight", {2, 3}, Format::kF16, "AaBbCcDdEeFf"}, 1);
}

TEST(RwkvCpp, GivesOfficialNamesShapesAndOrder) {
  const std::string file = v7_file();
  const auto read = read_checkpoint(as_bytes(file), "m.bin");
  ASSERT_TRUE(read) << to_string(read.error());
  EXPECT_EQ(read->kind, CheckpointKind::kRwkvCpp);
  ASSERT_EQ(read->tensors.size(), 9U);
  EXPECT_EQ(read->tensors[3].name, "blocks.0.att.x_v");
  EXPECT_EQ(read->tensors[3].shape, (std::vector<std::uint32_t>{1, 1, 1}));
  EXPECT_EQ(as_text(read->tensors[3].data), "vvvv");
  const CheckpointTensor& lora = read->tensors[7];
  EXPECT_EQ(lora.shape, (std::vector<std::uint32_t>{3, 2}));
  EXPECT_TRUE(lora.swapped);
  EXPECT_EQ(as_text(lora.data), "AaBbCcDdEeFf");
  const CheckpointTensor& matrix = read->tensors[8];
  EXPECT_EQ(matrix.format, Format::kF16);
  EXPECT_EQ(matrix.shape, (std::vector<std::uint32_t>{2, 3}));
  EXPECT_EQ(as_text(matrix.data), "AaBbCcDdEeFf");
}

TEST(RwkvCpp, LeavesOlderVersionsAsTheyAre) {
  const std::string file =
      rwkv_cpp_header() + rwkv_cpp_tensor({"blocks.0.att.w1", {1, 2}, Format::kF16, "AaBb"}, 1);
  const auto read = read_checkpoint(as_bytes(file), "m.bin");
  ASSERT_TRUE(read) << to_string(read.error());
  EXPECT_EQ(read->tensors[0].shape, (std::vector<std::uint32_t>{1, 2}));
}

std::string floats(std::initializer_list<float> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(float)};
}

TEST(RwkvCpp, UndoesWhatWasReadiedInOlderVersions) {
  const auto value = [](const CheckpointTensor& tensor, std::size_t i) {
    return load_le<float>(tensor.data, i * sizeof(float));
  };
  const SampleTensor bonus{"blocks.0.att.time_first", {2, 1, 1}, Format::kF32, floats({1, 0.5F})};
  const SampleTensor decay{
      "blocks.0.att.time_decay", {2, 1, 1}, Format::kF32, floats({0.36787945F, 1})};
  const SampleTensor norm{"blocks.0.att.ln_x.weight", {1}, Format::kF32, floats({1})};
  const std::string v5 = rwkv_cpp_header() + rwkv_cpp_tensor(bonus, 0) + rwkv_cpp_tensor(decay, 0) +
                         rwkv_cpp_tensor(norm, 0);
  const auto read = read_checkpoint(as_bytes(v5), "m.bin");
  ASSERT_TRUE(read) << to_string(read.error());
  EXPECT_EQ(read->tensors[0].shape, (std::vector<std::uint32_t>{2}));
  EXPECT_NEAR(value(read->tensors[0], 1), -0.693147F, 1e-6);
  EXPECT_NEAR(value(read->tensors[1], 0), 0, 1e-6);  // exp(-exp(0))
  EXPECT_LT(value(read->tensors[1], 1), -80);        // kept for ever, and still finite

  const SampleTensor v4_decay{"blocks.0.att.time_decay", {2}, Format::kF32, floats({-1, -2})};
  const std::string v4 = rwkv_cpp_header() + rwkv_cpp_tensor(v4_decay, 0);
  const auto older = read_checkpoint(as_bytes(v4), "m.bin");
  ASSERT_TRUE(older) << to_string(older.error());
  EXPECT_NEAR(value(older->tensors[0], 1), 0.693147F, 1e-6);
}

TEST(RwkvCpp, RecomputedTensorsOutliveTheirCheckpoint) {
  const std::string file =
      rwkv_cpp_header() +
      rwkv_cpp_tensor({"blocks.0.att.time_decay", {1}, Format::kF32, floats({-1})}, 0);
  CheckpointTensor kept;
  {
    const auto read = read_checkpoint(as_bytes(file), "m.bin");
    ASSERT_TRUE(read);
    kept = read->tensors[0];
  }
  EXPECT_NEAR(load_le<float>(kept.data, 0), 0, 1e-6);
}

TEST(RwkvCpp, BlocksStayPackedInTheFile) {
  const auto packing_of = [](std::uint32_t type, std::size_t bytes) {
    const std::string file =
        rwkv_cpp_header(101, type) +
        rwkv_cpp_tensor({"w", {1, 32}, Format::kF32, std::string(bytes, 'a')}, type);
    const auto read = read_checkpoint(as_bytes(file), "m.bin");
    EXPECT_TRUE(read) << to_string(read.error());
    return read ? name_of(read->tensors[0].packing) : "refused";
  };
  EXPECT_EQ(packing_of(2, 18), "Q4_0");
  EXPECT_EQ(packing_of(3, 20), "Q4_1");
  EXPECT_EQ(packing_of(7, 22), "Q5_0");
  EXPECT_EQ(packing_of(8, 24), "Q5_1");
  EXPECT_EQ(packing_of(9, 34), "Q8_0");
}

TEST(RwkvCpp, RefusesOldAndOddBlocks) {
  EXPECT_EQ(sentence(rwkv_cpp_header(101, 5)),
            "the model is quantized as Q4_2, which Skein does not read (m.bin, byte 20): use the "
            "FP32 or FP16 file, and let Skein compress it");
  EXPECT_NE(sentence(rwkv_cpp_header(100, 7)).find("in blocks of before May 2023"),
            std::string::npos);
  const SampleTensor block{"w", {1, 32}, Format::kF32, std::string(34, 'a')};
  EXPECT_NE(sentence(rwkv_cpp_header(100) + rwkv_cpp_tensor(block, 9)).find("before May 2023"),
            std::string::npos);
  const SampleTensor part{"w", {2, 16}, Format::kF32, std::string(34, 'a')};
  EXPECT_NE(sentence(rwkv_cpp_header() + rwkv_cpp_tensor(part, 9)).find("no whole blocks of Q8_0"),
            std::string::npos);
  EXPECT_NE(sentence(rwkv_cpp_header() + rwkv_cpp_tensor(block, 16)).find("\"w\" is quantized"),
            std::string::npos);
  EXPECT_NE(sentence(rwkv_cpp_header(102)).find("version 102 is unknown"), std::string::npos);
  const SampleTensor decay{"blocks.0.att.time_decay", {1, 32}, Format::kF32, std::string(34, 'a')};
  EXPECT_NE(sentence(rwkv_cpp_header() + rwkv_cpp_tensor(decay, 9)).find("is not FP32"),
            std::string::npos);
}

TEST(RwkvCpp, RefusesBadHeaders) {
  const auto with = [](std::vector<std::uint32_t> fields, const std::string& rest) {
    std::string out = rwkv_cpp_header();
    for (const std::uint32_t field : fields) put(out, field);
    return sentence(out + rest);
  };
  EXPECT_EQ(with({1, 1, 0, 1}, "w1234"), "accepted");
  EXPECT_NE(with({0, 1, 0}, "w1234"), "accepted");
  EXPECT_NE(with({9, 1, 0}, std::string(80, 'w')), "accepted");
  EXPECT_NE(with({1, 0xFFFFFFFF, 0, 1}, "w1234"), "accepted");
  EXPECT_NE(with({2, 1, 0, 0xFFFFFFFF, 0xFFFFFFFF}, "w1234"), "accepted");
  EXPECT_NE(with({1, 1, 0, 0}, "w"), "accepted");
  EXPECT_NE(with({1, 1, 99, 1}, "w1234"), "accepted");
  EXPECT_NE(sentence(rwkv_cpp_header()).find("no tensor"), std::string::npos);
  const std::string twice = rwkv_cpp_tensor({"w", {1}, Format::kF32, "1234"}, 0);
  EXPECT_NE(sentence(rwkv_cpp_header() + twice + twice).find("\"w\" is there twice"),
            std::string::npos);
}

TEST(RwkvCpp, TruncationInsideATensorIsRefused) {
  const std::string file = v7_file();
  std::size_t accepted = 0;  // a cut between two tensors cannot be seen here: find_config sees it
  for (std::size_t bytes = 0; bytes < file.size(); ++bytes) {
    if (sentence(file.substr(0, bytes)) == "accepted") ++accepted;
  }
  EXPECT_EQ(accepted, 3U);
}

}  // namespace
}  // namespace skein
