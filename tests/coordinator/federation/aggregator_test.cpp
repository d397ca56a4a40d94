#include "coordinator/federation/aggregator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>

#include "tests/support/random_floats.h"

namespace skein {
namespace {

std::vector<DeviceUpdate> some_updates(std::size_t count) {
  std::vector<DeviceUpdate> updates;
  for (std::size_t i = 0; i < count; ++i) {
    updates.push_back({DeviceId(i * 3 + 1), i * 1000 + 7, test::random_floats(257, i)});
  }
  return updates;
}

TEST(Aggregator, WeighsByTokens) {
  const std::vector<DeviceUpdate> updates = {{DeviceId(1), 1, {4, 0}}, {DeviceId(2), 3, {0, 8}}};
  EXPECT_EQ(aggregate(updates), (std::vector<float>{1, 6}));
}

TEST(Aggregator, GivesTheSameBitsInAnyOrderOfArrival) {
  std::vector<DeviceUpdate> updates = some_updates(9);
  const std::vector<float> expected = aggregate(updates);
  std::mt19937_64 random(3);
  for (int i = 0; i < 50; ++i) {
    std::ranges::shuffle(updates, random);
    EXPECT_EQ(aggregate(updates), expected);
  }
}

TEST(Aggregator, OneDeviceAloneIsTaken) {
  const std::vector<DeviceUpdate> updates = some_updates(1);
  EXPECT_EQ(aggregate(updates), updates[0].delta);
}

TEST(Aggregator, RejectsWhatIsOutOfBounds) {
  const UpdateBounds bounds{.values = 3, .max_norm = 10, .max_tokens = 100};
  const auto code = [&](const DeviceUpdate& update) {
    const auto checked = check_update(update, bounds);
    return checked ? std::optional<Errc>() : checked.error().code;
  };
  EXPECT_EQ(code({DeviceId(1), 100, {6, 8, 0}}), std::nullopt);
  EXPECT_EQ(code({DeviceId(1), 100, {6, 8, 0.1F}}), Errc::kRefused);
  EXPECT_EQ(code({DeviceId(1), 100, {6, 8}}), Errc::kRefused);
  EXPECT_EQ(code({DeviceId(1), 0, {6, 0, 0}}), Errc::kRefused);
  EXPECT_EQ(code({DeviceId(1), 101, {6, 0, 0}}), Errc::kRefused);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(code({DeviceId(1), 1, {kInfinity, 0, 0}}), Errc::kRefused);
  EXPECT_EQ(code({DeviceId(1), 1, {0, kNan, 0}}), Errc::kRefused);
}

}  // namespace
}  // namespace skein
