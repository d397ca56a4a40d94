#include <gtest/gtest.h>

#include "common/checkpoint/checkpoint.h"
#include "tests/common/checkpoint/sample_files.h"

namespace skein {
namespace {

std::string sentence(const std::string& file) {
  const auto read = read_checkpoint(as_bytes(file), "m.safetensors");
  return read ? "accepted" : to_string(read.error());
}

std::string one(const std::string& entry, const std::string& data = "12345678") {
  return sentence(safetensors_with("{\"w\":" + entry + "}", data));
}

TEST(Safetensors, GivesEveryTensorWithItsNameShapeFormatAndBytes) {
  const auto tensors = three_tensors();
  const std::string file = safetensors_of(tensors);
  const auto read = read_checkpoint(as_bytes(file), "m.safetensors");
  ASSERT_TRUE(read) << to_string(read.error());
  EXPECT_EQ(read->kind, CheckpointKind::kSafetensors);
  ASSERT_EQ(read->tensors.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(read->tensors[i].name, tensors[i].name);
    EXPECT_EQ(read->tensors[i].shape, tensors[i].shape);
    EXPECT_EQ(read->tensors[i].format, tensors[i].format);
    EXPECT_EQ(as_text(read->tensors[i].data), tensors[i].data);
  }
}

TEST(Safetensors, GivesTensorsInFileOrderWhateverTheHeadersOrder) {
  const std::string header = R"({"b":{"dtype":"F16","shape":[2],"data_offsets":[4,8]},)"
                             R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  const std::string file = safetensors_with(header, "12345678");
  const auto read = read_checkpoint(as_bytes(file), "m");
  ASSERT_TRUE(read) << to_string(read.error());
  EXPECT_EQ(read->tensors[0].name, "a");
  EXPECT_EQ(read->tensors[1].name, "b");
}

TEST(Safetensors, NamesTheTensorWhoseTypeComesLater) {
  EXPECT_EQ(one(R"({"dtype":"I8","shape":[8],"data_offsets":[0,8]})"),
            "tensor \"w\" has dtype \"I8\" (m.safetensors, header): save the model with F32, F16 "
            "or BF16 tensors");
}

TEST(Safetensors, RefusesWhatDoesNotFit) {
  const auto refused = [](const std::string& got, std::string_view why) {
    EXPECT_NE(got.find(why), std::string::npos) << got;
  };
  EXPECT_EQ(one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})"), "accepted");
  refused(one(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})"), "does not fit");
  refused(one(R"({"dtype":"F32","shape":[0],"data_offsets":[0,0]})", ""), "does not fit");
  refused(one(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})"), "no proper shape");
  refused(one(R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})"), "no proper shape");
  refused(one(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]})"),
          "does not fit");
  refused(one(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})"), "outside the file");
  refused(one(R"({"dtype":"F32","shape":[3],"data_offsets":[0,12]})"), "outside the file");
  refused(one(R"({"dtype":"F32","shape":[2],"data_offsets":[4,12]})", "123456789012"), "a hole");
  refused(one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})", "1234567890"), "goes on");
  refused(one(R"({"shape":[2],"data_offsets":[0,8]})"), "no dtype");
  refused(one("7"), "no dtype");
  refused(sentence(safetensors_with(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                                    R"("b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})",
                                    "123456")),
          "overlaps");
}

TEST(Safetensors, RefusesBadHeaders) {
  EXPECT_NE(sentence(safetensors_with("{", "")), "accepted");
  EXPECT_NE(sentence(safetensors_with("{}", "")), "accepted");
  EXPECT_NE(sentence(safetensors_with("{\"w\":" + std::string(1000, '['), "")), "accepted");
  std::string long_header;
  put<std::uint64_t>(long_header, 90'000'000);
  EXPECT_EQ(sentence(long_header + "{}"),
            "the safetensors header claims 90000000 bytes (m.safetensors, byte 0): the file is "
            "damaged or cut short; copy or download it again");
  EXPECT_NE(
      sentence(safetensors_with(R"({"a\u0007b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                                "1234"))
          .find("\"a?b\" has an impossible name"),
      std::string::npos);
}

TEST(Safetensors, AnyTruncationIsRefused) {
  const std::string file = safetensors_of(three_tensors());
  for (std::size_t bytes = 0; bytes < file.size(); ++bytes) {
    EXPECT_NE(sentence(file.substr(0, bytes)), "accepted") << bytes;
  }
}

}  // namespace
}  // namespace skein
