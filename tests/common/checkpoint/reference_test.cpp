#include <gtest/gtest.h>

#include <algorithm>

#include "common/checkpoint/checkpoint.h"
#include "tests/support/shared_file.h"

namespace skein {
namespace {

TEST(ReferenceCheckpoint, PthAndSafetensorsHoldTheSameTensors) {
  const std::string path = "models/reference/skein-ref-v1";
  const auto pth_file = read_shared(path + ".pth");
  const auto st_file = read_shared(path + ".safetensors");
  if (!pth_file || !st_file) GTEST_SKIP() << needs_shared(path);
  const auto pth = read_checkpoint(*pth_file, "v1.pth");
  const auto st = read_checkpoint(*st_file, "v1.safetensors");
  ASSERT_TRUE(pth) << to_string(pth.error());
  ASSERT_TRUE(st) << to_string(st.error());
  ASSERT_EQ(pth->tensors.size(), 204U);
  ASSERT_EQ(st->tensors.size(), pth->tensors.size());
  for (const CheckpointTensor& one : pth->tensors) {
    const auto other = std::ranges::find(st->tensors, one.name, &CheckpointTensor::name);
    ASSERT_NE(other, st->tensors.end()) << one.name;
    EXPECT_EQ(one.shape, other->shape) << one.name;
    EXPECT_EQ(one.format, other->format) << one.name;
    EXPECT_TRUE(std::ranges::equal(one.data, other->data)) << one.name;
  }
}

TEST(ReferenceCheckpoint, RwkvCppFilesCarryOfficialNamesAndShapes) {
  for (const std::string precision : {"FP32", "FP16"}) {
    const std::string path = "models/rwkv.cpp-tiny/tiny-rwkv-7v0-834K-" + precision + ".bin";
    const auto file = read_shared(path);
    if (!file) GTEST_SKIP() << needs_shared(path);
    const auto read = read_checkpoint(*file, path);
    ASSERT_TRUE(read) << to_string(read.error());
    const auto w1 = std::ranges::find(read->tensors, "blocks.3.att.w1", &CheckpointTensor::name);
    ASSERT_NE(w1, read->tensors.end());
    EXPECT_EQ(w1->shape, (std::vector<std::uint32_t>{64, 32}));
    const auto xg = std::ranges::find(read->tensors, "blocks.3.att.x_g", &CheckpointTensor::name);
    ASSERT_NE(xg, read->tensors.end());
    EXPECT_EQ(xg->shape, (std::vector<std::uint32_t>{1, 1, 64}));
  }
}

}  // namespace
}  // namespace skein
