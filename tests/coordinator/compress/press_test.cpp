#include "coordinator/compress/press.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/common/convert/tiny_checkpoint.h"
#include "tests/support/golden_model.h"

namespace skein {
namespace {

using test::golden_file;
using test::TinyCheckpoint;

std::unique_ptr<MemoryArtifact> pressed(const Checkpoint& checkpoint,
                                        const ConvertOptions& options) {
  auto result = press(checkpoint, options);
  EXPECT_TRUE(result) << to_string(result.error());
  return std::move(result->artifact);
}

Digest digest_of(const PageSource& pages) {
  return manifest_digest(encode_manifest(pages.manifest()));
}

void expect_same_tensors(const Checkpoint& original, const Checkpoint& back) {
  ASSERT_EQ(back.tensors.size(), original.tensors.size());
  for (const CheckpointTensor& tensor : original.tensors) {
    const auto twin = std::ranges::find(back.tensors, tensor.name, &CheckpointTensor::name);
    ASSERT_NE(twin, back.tensors.end()) << tensor.name;
    EXPECT_EQ(twin->shape, tensor.shape) << tensor.name;
    EXPECT_EQ(twin->format, tensor.format) << tensor.name;
    EXPECT_TRUE(std::ranges::equal(twin->data, tensor.data)) << tensor.name;
  }
}

class TensorsOf : public testing::TestWithParam<Format> {};

// Odd shapes, every bit pattern; matrices stored in tiles, in rows, and turned.
TEST_P(TensorsOf, GivesTheCheckpointsBytesBack) {
  const TinyCheckpoint tiny({.format = GetParam()});
  const auto artifact = pressed(tiny.checkpoint, {});
  std::vector<Buffer> storage;
  const auto back = tensors_of(*artifact, storage);
  ASSERT_TRUE(back) << to_string(back.error());
  expect_same_tensors(tiny.checkpoint, *back);
}

TEST_P(TensorsOf, GivesMatricesCutIntoPagesBack) {
  const TinyCheckpoint tiny({.layers = 1,
                             .heads = 5,
                             .head_size = 64,
                             .ffn = 1111,
                             .vocab = 1003,
                             .rank = 33,
                             .format = GetParam()});
  const auto artifact = pressed(tiny.checkpoint, {});
  std::vector<Buffer> storage;
  const auto back = tensors_of(*artifact, storage);
  ASSERT_TRUE(back) << to_string(back.error());
  expect_same_tensors(tiny.checkpoint, *back);
}

INSTANTIATE_TEST_SUITE_P(Formats, TensorsOf,
                         testing::Values(Format::kF32, Format::kBf16, Format::kF16),
                         [](const auto& chosen) { return std::string(name_of(chosen.param)); });

TEST(TensorsOfLimits, AManifestWhoseTensorsShareAPageCannotAskForMoreThanTheLimit) {
  class OnePage final : public PageSource {
   public:
    const Manifest& manifest() const override { return manifest_; }
    Result<ByteView> page(PageIndex) override { return fail(Errc::kInput, "not to be asked"); }
    Manifest manifest_;
  } pages;
  for (int i = 0; i < 40; ++i) {
    TensorEntry tensor;
    tensor.name = "t" + std::to_string(i);
    tensor.rows = 1U << 20;
    tensor.cols = 512;
    pages.manifest_.tensors.push_back(tensor);
  }
  std::vector<Buffer> storage;
  const auto refused = tensors_of(pages, storage);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kOutOfRoom);
}

TEST(Press, KeepsTheVocabulary) {
  const auto artifact = test::golden_artifact();
  EXPECT_EQ(vocabulary_of(*artifact).value(), golden_file("tiny-vocab.txt"));
  const auto without =
      pressed(*read_checkpoint(golden_file("tiny-64-f32.safetensors"), "golden"), {});
  EXPECT_TRUE(vocabulary_of(*without).value().empty());
}

// The largest step between neighbouring codes of a group bounds what rounding may cost it: half a
// step per weight, and the scale's own rounding to f16 on top.
void expect_within_half_steps(PageSource& before, PageSource& after) {
  std::vector<Buffer> storage_before;
  std::vector<Buffer> storage_after;
  const auto exact = tensors_of(before, storage_before);
  const auto rounded = tensors_of(after, storage_after);
  ASSERT_TRUE(exact && rounded);
  for (std::size_t t = 0; t < exact->tensors.size(); ++t) {
    const TensorEntry& entry = *find_tensor(after.manifest(), rounded->tensors[t].name);
    if (entry.format != Format::kQ8) continue;
    float largest = 0;
    float worst = 0;
    for (std::size_t at = 0; at < exact->tensors[t].data.size(); at += 4) {
      const auto value = load_le<float>(exact->tensors[t].data, at);
      largest = std::max(largest, std::abs(value));
      worst = std::max(worst, std::abs(value - load_le<float>(rounded->tensors[t].data, at)));
    }
    EXPECT_LE(worst, largest / 127 * 0.5F * 1.002F + largest * 0.0005F) << entry.name;
    EXPECT_GT(worst, 0) << entry.name;
  }
}

TEST(Press, EightBitsCostNoMoreThanHalfAStep) {
  const Buffer file = golden_file("tiny-64-f32.safetensors");
  const Checkpoint checkpoint = *read_checkpoint(file, "golden");
  const auto result = press(checkpoint, {.precision = Precision::kQ8});
  ASSERT_TRUE(result) << to_string(result.error());
  std::size_t rounded = 0;
  for (const TensorReport& tensor : result->tensors) {
    if (tensor.format != Format::kQ8) {
      EXPECT_EQ(tensor.relative_error, 0) << tensor.name;
      EXPECT_EQ(tensor.bytes_before, tensor.bytes_after) << tensor.name;
      continue;
    }
    ++rounded;
    EXPECT_GT(tensor.relative_error, 0) << tensor.name;
    EXPECT_LT(tensor.relative_error, 0.02) << tensor.name;
    EXPECT_LT(tensor.bytes_after, tensor.bytes_before) << tensor.name;
  }
  EXPECT_GE(rounded, 10U);
  expect_within_half_steps(*pressed(checkpoint, {}), *result->artifact);
}

class PressOf : public testing::TestWithParam<Precision> {};

TEST_P(PressOf, AnArtifactIsThatOfItsCheckpoint) {
  const Buffer vocabulary = golden_file("tiny-vocab.txt");
  for (const char* name : {"tiny-64-f32.safetensors", "tiny-128-bf16.safetensors"}) {
    const Buffer file = golden_file(name);
    const Checkpoint checkpoint = *read_checkpoint(file, name);
    const ConvertOptions options{
        .precision = GetParam(), .name = "m", .version = "v1", .vocabulary = vocabulary};
    ConvertOptions keep = options;
    keep.precision = Precision::kKeep;
    const auto imported = pressed(checkpoint, keep);
    std::vector<Buffer> storage;
    const auto unpacked = tensors_of(*imported, storage);
    ASSERT_TRUE(unpacked) << to_string(unpacked.error());
    const auto again = pressed(*unpacked, options);
    EXPECT_EQ(digest_of(*again), digest_of(*pressed(checkpoint, options))) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Precisions, PressOf,
                         testing::Values(Precision::kKeep, Precision::kF32, Precision::kBf16,
                                         Precision::kF16, Precision::kQ8, Precision::kQ6,
                                         Precision::kQ5, Precision::kQ4));

TEST(Press, EachBitFewerCostsMore) {
  const Buffer file = golden_file("tiny-128-bf16.safetensors");
  const Checkpoint checkpoint = *read_checkpoint(file, "golden");
  double before = 0;
  for (const auto& [precision, most] : {std::pair{Precision::kQ8, 0.01},
                                        {Precision::kQ6, 0.025},
                                        {Precision::kQ5, 0.045},
                                        {Precision::kQ4, 0.085}}) {
    const auto result = press(checkpoint, {.precision = precision});
    ASSERT_TRUE(result) << to_string(result.error());
    const auto head = std::ranges::find(result->tensors, "head.weight", &TensorReport::name);
    ASSERT_NE(head, result->tensors.end());
    EXPECT_GT(head->relative_error, before);
    EXPECT_LT(head->relative_error, most);
    before = head->relative_error;
  }
}

TEST(Press, SaysWhichTensorIsMissing) {
  TinyCheckpoint tiny({});
  tiny.drop("blocks.1.att.key.weight");
  const auto refused = press(tiny.checkpoint, {.precision = Precision::kQ8});
  ASSERT_FALSE(refused);
  EXPECT_NE(to_string(refused.error()).find("blocks.1.att.key.weight"), std::string::npos)
      << to_string(refused.error());
}

}  // namespace
}  // namespace skein
