#include "coordinator/compress/internal/channel_scales.h"

#include <gtest/gtest.h>

#include "coordinator/compress/press.h"
#include "tests/golden/hashes/golden_hashes.h"

namespace skein {
namespace {

TEST(ChannelScales, ArePowersAroundTheGeometricMean) {
  const std::vector<double> rms = {1, 4, 16, 0};
  EXPECT_EQ(scales_of(rms, 1), (std::vector<int>{-2, 0, 2, 0}));
  EXPECT_EQ(scales_of(rms, 0.5), (std::vector<int>{-1, 0, 1, 0}));
  EXPECT_EQ(scales_of(rms, 0), (std::vector<int>{0, 0, 0, 0}));
}

TEST(ChannelScales, AreBounded) {
  const std::vector<double> rms = {1e-30, 1e30};
  EXPECT_EQ(scales_of(rms, 1), (std::vector<int>{-kMostScale, kMostScale}));
}

// The model's tensors in the shapes that checkpoints have.
Result<Checkpoint> official(PageSource& pages, std::vector<Buffer>& storage) {
  TRY(Checkpoint checkpoint, tensors_of(pages, storage));
  for (CheckpointTensor& tensor : checkpoint.tensors) {
    const std::string_view name = tensor.name;
    if (name.ends_with("time_maa_w2")) {
      tensor.shape = {5, tensor.shape[0] / 5, tensor.shape[1]};
      continue;
    }
    const bool lora = name.ends_with("1") || name.ends_with("2");
    const bool value = name.ends_with("ffn.value.weight") && tensor.shape[0] > tensor.shape[1];
    if (!lora && !value) continue;
    std::swap(tensor.shape[0], tensor.shape[1]);
    tensor.swapped = true;
  }
  return checkpoint;
}

class ScaledModel : public testing::TestWithParam<test::GoldenModelKind> {
 protected:
  std::vector<std::string> hashes(const Checkpoint& checkpoint) {
    const auto artifact = convert(checkpoint, {});
    EXPECT_TRUE(artifact) << to_string(artifact.error());
    const auto model = Model::open(**artifact);
    EXPECT_TRUE(model) << to_string(model.error());
    const auto found = test::golden_hashes(**model, serial_);
    return {found.begin(), found.end()};
  }
  SerialParallel serial_;
};

TEST_P(ScaledModel, ComputesTheSameBits) {
  test::SeededModel seeded(GetParam().shape, Format::kF32);
  std::vector<Buffer> storage;
  const auto checkpoint = official(seeded.pages(), storage);
  ASSERT_TRUE(checkpoint) << to_string(checkpoint.error());
  const auto model = Model::open(seeded.pages());
  ASSERT_TRUE(model) << to_string(model.error());
  const CalibrationText text{.ids = std::vector<TokenId>(512, 7)};
  const auto scaled = scale_channels(*checkpoint, **model, serial_, text, 1, [](auto, auto) {});
  ASSERT_TRUE(scaled) << to_string(scaled.error());
  EXPECT_EQ(hashes(*scaled), hashes(*checkpoint));

  std::size_t changed = 0;
  for (std::size_t i = 0; i < checkpoint->tensors.size(); ++i) {
    const ByteView before = checkpoint->tensors[i].data;
    changed += std::ranges::equal(before, scaled->tensors[i].data) ? 0U : 1U;
  }
  EXPECT_GT(changed,
            16U);  // of two layers: norms, matrices that read them, outputs and their makers
}

INSTANTIATE_TEST_SUITE_P(Versions, ScaledModel, testing::ValuesIn(test::kGoldenModels),
                         [](const auto& kind) {
                           std::string name = kind.param.name;
                           std::ranges::replace(name, '.', '_');
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace skein
