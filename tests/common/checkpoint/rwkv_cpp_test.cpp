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
  EXPECT_EQ(as_text(lora.data), "AaDdBbEeCcFf");
  const CheckpointTensor& matrix = read->tensors[8];
  EXPECT_EQ(matrix.format, Format::kF16);
  EXPECT_EQ(matrix.shape, (std::vector<std::uint32_t>{2, 3}));
  EXPECT_EQ(as_text(matrix.data), "AaBbCcDdEeFf");
}

TEST(RwkvCpp, RelaidTensorsOutliveTheirCheckpoint) {
  const std::string file = v7_file();
  CheckpointTensor kept;
  {
    const auto read = read_checkpoint(as_bytes(file), "m.bin");
    ASSERT_TRUE(read);
    kept = read->tensors[7];
  }
  EXPECT_EQ(as_text(kept.data), "AaDdBbEeCcFf");
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

TEST(RwkvCpp, NamesWhatComesLater) {
  EXPECT_EQ(sentence(rwkv_cpp_header(101, 7)),
            "the model is quantized as Q5_0, which comes later (m.bin, byte 20): use the FP32 or "
            "FP16 file, and let Skein compress it");
  const SampleTensor tensor{"w", {1}, Format::kF32, "1234"};
  EXPECT_NE(sentence(rwkv_cpp_header() + rwkv_cpp_tensor(tensor, 9)).find("\"w\" is quantized"),
            std::string::npos);
  EXPECT_NE(sentence(rwkv_cpp_header(102)).find("version 102 is unknown"), std::string::npos);
  EXPECT_NE(sentence("GGUF\x03").find("later version of Skein"), std::string::npos);
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
