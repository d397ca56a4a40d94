#include <gtest/gtest.h>

#include <array>
#include <deque>

#include "common/env/env.h"

namespace skein {
namespace {

// Hands out the numbers it was given, then counts up from 0.
class ListedRandom final : public Random {
 public:
  explicit ListedRandom(std::deque<std::uint64_t> numbers) : numbers_(std::move(numbers)) {}
  std::uint64_t next() override {
    if (numbers_.empty()) return counter_++;
    const std::uint64_t number = numbers_.front();
    numbers_.pop_front();
    return number;
  }
  void fill(std::span<std::byte>) override {}
  std::size_t left() const { return numbers_.size(); }

 private:
  std::deque<std::uint64_t> numbers_;
  std::uint64_t counter_ = 0;
};

TEST(Random, BelowIsUniformAndInBounds) {
  ListedRandom random({});
  std::array<int, 7> hits{};
  for (int i = 0; i < 7000; ++i) ++hits.at(random.below(7));
  for (const int hit : hits) EXPECT_EQ(hit, 1000);
  EXPECT_EQ(ListedRandom({~0ULL - 1}).below(1), 0U);
}

// The last values of 2^64 would make the small results likelier.
TEST(Random, BelowDrawsAgainPastTheLastWholeMultiple) {
  ListedRandom random({~0ULL, 5});
  EXPECT_EQ(random.below(3), 2U);
  EXPECT_EQ(random.left(), 0U);
}

TEST(Random, UnitNeverReachesOne) {
  EXPECT_EQ(ListedRandom({0}).unit(), 0.0);
  EXPECT_LT(ListedRandom({~0ULL}).unit(), 1.0);
  EXPECT_EQ(ListedRandom({1ULL << 63}).unit(), 0.5);
}

TEST(Random, JitterStaysWithinItsShare) {
  const Duration base = std::chrono::seconds(10);
  EXPECT_EQ(ListedRandom({0}).jitter(base, 0.2), std::chrono::seconds(8));
  EXPECT_EQ(ListedRandom({1ULL << 63}).jitter(base, 0.2), base);
  const Duration longest = ListedRandom({~0ULL}).jitter(base, 0.2);
  EXPECT_GT(longest, std::chrono::milliseconds(11'999));
  EXPECT_LE(longest, std::chrono::seconds(12));
}

}  // namespace
}  // namespace skein
