#include "edge_node/app/internal/kept_states.h"

#include <gtest/gtest.h>

#include "tests/support/memory_pages.h"
#include "tests/support/test_world.h"

namespace skein {
namespace {

using std::chrono_literals::operator""min;

class KeptStatesTest : public testing::Test {
 protected:
  static KeptState state(std::uint64_t step, std::uint32_t layers = 2) {
    ModelConfig config = test::small_config();
    config.layers = layers;
    KeptState kept{Digest{}, RwkvState(config)};
    kept.state.step = Step(step);
    return kept;
  }
  std::uint64_t step_of(const std::string& name) {
    const auto kept = states_.find(name);
    return kept ? kept->state.step.value() : 0;
  }

  test::HandClock clock_;
  KeptStates states_{clock_};
};

TEST_F(KeptStatesTest, KeepsReplacesAndDrops) {
  ASSERT_TRUE(states_.put("a", state(1)));
  ASSERT_TRUE(states_.put("b", state(2)));
  ASSERT_TRUE(states_.put("a", state(3)));
  EXPECT_EQ(step_of("a"), 3U);
  EXPECT_EQ(states_.all().size(), 2U);
  EXPECT_EQ(states_.bytes(), 2 * state(1).state.bytes());
  EXPECT_TRUE(states_.remove("a").value());
  EXPECT_FALSE(states_.remove("a").value());
  EXPECT_EQ(states_.find("a"), nullptr);
  EXPECT_EQ(states_.bytes(), state(1).state.bytes());
}

TEST_F(KeptStatesTest, TheLongestUnusedGoWhenThereAreTooMany) {
  for (std::size_t i = 0; i < kMaxKeptStates; ++i) {
    ASSERT_TRUE(states_.put("s" + std::to_string(i), state(i + 1)));
    clock_.advance(std::chrono::seconds(1));
  }
  EXPECT_EQ(step_of("s0"), 1U);  // a use
  clock_.advance(std::chrono::seconds(1));
  ASSERT_TRUE(states_.put("more", state(99)));
  EXPECT_EQ(states_.count(), kMaxKeptStates);
  EXPECT_EQ(step_of("s0"), 1U);
  EXPECT_EQ(step_of("s1"), 0U);
}

TEST_F(KeptStatesTest, TheLongestUnusedGoWhenTheyAreTooLarge) {
  const auto large =
      static_cast<std::uint32_t>(kMaxKeptStateBytes / 5 * 2 / state(1, 1).state.bytes());
  ASSERT_TRUE(states_.put("a", state(1, large)));
  clock_.advance(1min);
  ASSERT_TRUE(states_.put("b", state(2, large)));
  clock_.advance(1min);
  ASSERT_TRUE(states_.put("c", state(3, large)));
  EXPECT_EQ(step_of("a"), 0U);
  EXPECT_EQ(step_of("b"), 2U);
  EXPECT_LE(states_.bytes(), kMaxKeptStateBytes);
  // What is leased stays; then there is no room.
  const auto b = states_.lease("b");
  const auto c = states_.lease("c");
  const auto refused = states_.put("d", state(4, large));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kOutOfRoom);
  EXPECT_EQ(step_of("c"), 3U);
}

TEST_F(KeptStatesTest, WhatIsNotUsedForLongIsForgotten) {
  ASSERT_TRUE(states_.put("a", state(1)));
  clock_.advance(kKeptStateLifetime);
  EXPECT_EQ(step_of("a"), 1U);
  clock_.advance(kKeptStateLifetime + 1min);
  EXPECT_EQ(step_of("a"), 0U);
  EXPECT_EQ(states_.bytes(), 0U);
}

TEST_F(KeptStatesTest, ANameIsOneAnswersAtATime) {
  ASSERT_TRUE(states_.put("a", state(1)));
  {
    auto lease = states_.lease("a");
    ASSERT_TRUE(lease);
    EXPECT_EQ(states_.lease("a").error().code, Errc::kConflict);
    EXPECT_EQ(states_.put("a", state(2)).error().code, Errc::kConflict);
    EXPECT_EQ(states_.remove("a").error().code, Errc::kConflict);
    EXPECT_EQ(step_of("a"), 1U);  // reading is free
    ASSERT_TRUE(lease->put(state(5)));
  }
  EXPECT_EQ(step_of("a"), 5U);
  EXPECT_TRUE(states_.lease("a"));
  EXPECT_TRUE(states_.remove("a").value());
}

TEST_F(KeptStatesTest, NamesAreShortAndPlain) {
  for (const char* good : {"a", "Robot-7_talk.1"}) EXPECT_TRUE(check_state_name(good)) << good;
  EXPECT_TRUE(check_state_name(std::string(kMaxStateName, 'x')));
  for (const char* bad : {"", "a b", "a/b", "\xC3\xA9"}) EXPECT_FALSE(check_state_name(bad)) << bad;
  EXPECT_FALSE(check_state_name(std::string(kMaxStateName + 1, 'x')));
}

}  // namespace
}  // namespace skein
