#include "common/model/state.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/memory_pages.h"

namespace skein {
namespace {

Digest digest_of(unsigned char byte) {
  Digest digest;
  digest.bytes.fill(std::byte{byte});
  return digest;
}

RwkvState filled() {
  RwkvState state(test::small_config());
  for (std::uint32_t i = 0; i < 2; ++i) {
    const LayerIndex layer(i);
    const auto fill = [i](std::span<float> part, std::uint64_t seed) {
      std::ranges::copy(test::random_floats(part.size(), seed + i), part.begin());
    };
    fill(state.time_mix_shift(layer), 10);
    fill(state.channel_mix_shift(layer), 20);
    fill(state.wkv(layer), 30);
  }
  state.step = Step(77);
  return state;
}

TEST(RwkvState, PartsHaveTheirShapesAndDoNotOverlap) {
  const RwkvState state = filled();
  EXPECT_EQ(state.time_mix_shift(LayerIndex(1)).size(), 128U);
  EXPECT_EQ(state.channel_mix_shift(LayerIndex(1)).size(), 128U);
  EXPECT_EQ(state.wkv(LayerIndex(1)).size(), 2U * 64 * 64);
  EXPECT_EQ(state.time_mix_shift(LayerIndex(0))[127], test::random_floats(128, 10)[127]);
  EXPECT_EQ(state.channel_mix_shift(LayerIndex(1))[0], test::random_floats(128, 21)[0]);
}

TEST(RwkvState, Rwkv4KeepsAnAverageAChannelAndStartsWithoutAnExponent) {
  ModelConfig config = test::small_config();
  config.architecture = Architecture::kRwkv4;
  config.heads = config.head_size = 0;
  RwkvState state(config);
  const std::span<float> average = state.wkv(LayerIndex(1));
  ASSERT_EQ(average.size(), 3U * 128);
  EXPECT_EQ(average[0], 0);
  EXPECT_EQ(average[2 * 128 - 1], 0);
  EXPECT_EQ(average[2 * 128], kNoExponent);
  EXPECT_EQ(average.back(), kNoExponent);
  EXPECT_EQ(state.channel_mix_shift(LayerIndex(1)).back(), 0);
  average[5] = 3;
  const Buffer saved = state.save(Digest{});
  EXPECT_EQ(RwkvState::restore(saved, config, Digest{}).value(), state);
}

TEST(RwkvState, ComesBackBitForBit) {
  const RwkvState state = filled();
  const auto back = RwkvState::restore(state.save(digest_of(1)), state.config(), digest_of(1));
  ASSERT_TRUE(back) << to_string(back.error());
  EXPECT_EQ(*back, state);
  EXPECT_EQ(back->step, Step(77));
}

TEST(RwkvState, RefusesEveryFlippedBitAndEveryCut) {
  const Buffer saved = filled().save(digest_of(1));
  for (std::size_t at = 0; at < saved.size(); at += at < 120 ? 1 : 4099) {
    Buffer damaged = saved;
    damaged[at] ^= std::byte{16};
    EXPECT_FALSE(RwkvState::restore(damaged, test::small_config(), digest_of(1))) << at;
    const ByteView cut = ByteView(saved).first(at);
    const auto refused = RwkvState::restore(cut, test::small_config(), digest_of(1));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::kCorrupt);
  }
}

TEST(RwkvState, RefusesWhatIsNotFinite) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -HUGE_VALF}) {
    RwkvState state = filled();
    state.wkv(LayerIndex(1))[7] = bad;
    const auto refused =
        RwkvState::restore(state.save(digest_of(1)), test::small_config(), digest_of(1));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::kCorrupt);
  }
}

TEST(RwkvState, RefusesAnotherModelsState) {
  const Buffer saved = filled().save(digest_of(1));
  const auto other_weights = RwkvState::restore(saved, test::small_config(), digest_of(2));
  ASSERT_FALSE(other_weights);
  EXPECT_EQ(other_weights.error().code, Errc::kConflict);
  ModelConfig other = test::small_config();
  other.layers = 3;
  const auto other_shape = RwkvState::restore(saved, other, digest_of(1));
  ASSERT_FALSE(other_shape);
  EXPECT_EQ(other_shape.error().code, Errc::kConflict);
}

TEST(RwkvState, ComparesBitsNotValues) {
  RwkvState a(test::small_config());
  RwkvState b(test::small_config());
  EXPECT_EQ(a, b);
  b.wkv(LayerIndex(0))[0] = -0.0F;
  EXPECT_FALSE(a == b);
}

}  // namespace
}  // namespace skein
