#include "edge_node/paging/residency_plan.h"

#include <gtest/gtest.h>

#include "edge_node/paging/internal/tier_choice.h"
#include "tests/support/memory_pages.h"

namespace skein {
namespace {

const ModelConfig kConfig = {
    .layers = 4, .width = 256, .heads = 4, .head_size = 64, .ffn_width = 1024, .vocab = 3000};

class Plans : public testing::Test {
 protected:
  const Manifest& manifest() const { return pages_.manifest(); }
  std::uint64_t least() const { return *smallest_budget(manifest(), {}); }
  ResidencyPlan plan(std::uint64_t budget) const {
    auto made = plan_residency(manifest(), {.budget = budget});
    CHECK(made.has_value());
    return std::move(*made);
  }
  test::MemoryPages pages_ = test::random_model(Format::kQ8, kConfig);
};

TEST_F(Plans, NeverGiveOutMoreThanTheBudget) {
  for (std::uint64_t more = 0; more < (std::uint64_t{12} << 20); more += 77'777) {
    const ResidencyPlan made = plan(least() + more);
    EXPECT_LE(made.total(), least() + more) << more;
  }
}

TEST_F(Plans, ATooSmallBudgetSaysTheSmallestThatWorks) {
  const auto made = plan_residency(manifest(), {.budget = least() - 1});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Errc::kOutOfRoom);
  EXPECT_EQ(exit_code(made.error().code), 6);
  const std::uint64_t mib = (least() >> 20) + 2;
  EXPECT_NE(made.error().remedy.find(std::to_string(mib) + "M"), std::string::npos)
      << to_string(made.error());
  EXPECT_TRUE(plan_residency(manifest(), {.budget = mib << 20}));
}

TEST_F(Plans, WhatTheProcessHoldsAlreadyCounts) {
  const std::uint64_t held = 50'000'000;
  EXPECT_GE(*smallest_budget(manifest(), {.baseline = held}), least() + held);
}

TEST_F(Plans, NoBudgetIsBelowWhatTheProcessHasHeld) {
  const std::uint64_t peak = 50'000'000;
  EXPECT_EQ(*smallest_budget(manifest(), {.peak = peak}), peak);
  EXPECT_FALSE(plan_residency(manifest(), {.budget = peak - 1, .peak = peak}));
  EXPECT_EQ(*smallest_budget(manifest(), {.peak = 1}), least());
}

// Of a pass, the shortest here.
TEST_F(Plans, WhatEachRowTakesOfTheCallerCounts) {
  const std::uint64_t each = 12'000;
  const std::uint64_t more = *smallest_budget(manifest(), {.row_bytes = each}) - least();
  const std::uint32_t rows = plan(least()).most_rows;
  EXPECT_GE(more, rows * each);
  EXPECT_LE(more, rows * each * 5 / 4);
}

TEST_F(Plans, ASamplerThatKeepsLessLeavesMore) {
  const std::uint64_t greedy = *smallest_budget(manifest(), {.answer_bytes = 4});
  EXPECT_GE(least() - greedy, std::uint64_t{24} * kConfig.vocab);
}

TEST_F(Plans, ALargeBudgetPagesNothing) {
  const ResidencyPlan made = plan(std::uint64_t{1} << 30);
  EXPECT_FALSE(made.pages_anything());
  EXPECT_EQ(made.stream_slots, 0U);
  EXPECT_EQ(made.kept_rows, 0U);
}

TEST_F(Plans, MoreMemoryNeverMeansMoreReading) {
  std::uint64_t before = ~0ULL;
  for (std::uint64_t more = 0; more < (std::uint64_t{12} << 20); more += 500'000) {
    const ResidencyPlan made = plan(least() + more);
    EXPECT_LE(made.streamed_per_token, before) << more;
    before = made.streamed_per_token;
  }
}

TEST_F(Plans, RowsAreKeptOnlyWhenEveryMatrixThatEachTokenNeedsIs) {
  for (std::uint64_t more = 0; more < (std::uint64_t{12} << 20); more += 100'000) {
    const ResidencyPlan made = plan(least() + more);
    if (made.kept_rows > 2000) EXPECT_EQ(made.streamed_per_token, 0U) << more;
  }
}

TEST_F(Plans, LayersStreamAlike) {
  const ResidencyPlan made = plan(least() + 2'000'000);
  std::vector<std::uint32_t> pinned;
  for (std::size_t i = 0; i < manifest().tensors.size(); ++i) {
    if (manifest().tensors[i].name.ends_with("ffn.key.weight")) {
      pinned.push_back(made.tensors[i].pinned_segments);
    }
  }
  ASSERT_EQ(pinned.size(), 4U);
  const auto [low, high] = std::ranges::minmax(pinned);
  EXPECT_LE(high - low, 1U);
}

// Of a plain file whose pages can be coded, and of a coded one; storage slow and fast.
struct Tiered {
  bool coded;
  PagingRates rates;
};

class TieredPlans : public testing::TestWithParam<Tiered> {
 protected:
  static constexpr double kShare = 0.7;
  TieredPlans() {
    request_.rates = GetParam().rates;
    request_.threads = 2;
    request_.alignment = 512;
    request_.coded = GetParam().coded;
    request_.coded_share = GetParam().coded ? 0 : kShare;
    for (const PageEntry& page : manifest().pages) {
      const double bytes = page.bytes * (GetParam().coded ? kShare : 1.0);
      request_.stored.push_back(static_cast<std::uint32_t>(bytes));
    }
  }
  const Manifest& manifest() const { return pages_.manifest(); }
  ResidencyPlan plan(std::uint64_t budget) {
    request_.budget = budget;
    auto made = plan_residency(manifest(), request_);
    CHECK(made.has_value());
    return std::move(*made);
  }
  test::MemoryPages pages_ = test::random_model(Format::kQ8, kConfig);
  ResidencyRequest request_;
};

INSTANTIATE_TEST_SUITE_P(
    Devices, TieredPlans,
    testing::Values(Tiered{false, {3e8, 8e8, 2e10}}, Tiered{false, {1e6, 8e8, 2e10}},
                    Tiered{false, {3e9, 8e8, 2e10}}, Tiered{true, {3e8, 8e8, 2e10}},
                    Tiered{true, {1e6, 8e8, 2e10}}, Tiered{true, {3e9, 8e8, 2e10}}));

// More is read only where less is decoded for it, and that is faster.
TEST_P(TieredPlans, NeverGiveOutMoreThanTheBudgetAndAreNoSlowerWithMore) {
  const std::uint64_t least = *smallest_budget(manifest(), request_);
  std::uint64_t before = ~0ULL, decoded = ~0ULL;
  double slower = 1e9;
  for (std::uint64_t more = 0; more < (std::uint64_t{14} << 20); more += 33'333) {
    const ResidencyPlan made = plan(least + more);
    EXPECT_LE(made.total(), least + more) << more;
    if (made.decoded_per_token >= decoded) EXPECT_LE(made.streamed_per_token, before) << more;
    decoded = made.decoded_per_token;
    const double takes = paging::token_seconds(made.storage_s, made.compute_s);
    EXPECT_LE(takes, slower) << more;
    before = made.streamed_per_token;
    slower = takes;
  }
  EXPECT_EQ(before, 0U);
}

TEST_P(TieredPlans, TellOfEveryPage) {
  const ResidencyPlan made = plan(*smallest_budget(manifest(), request_) + 2'000'000);
  std::uint64_t read = 0, decoded = 0;
  for (const std::uint32_t index : order_of_use(manifest())) {
    const TensorResidence& tensor = made.tensors[index];
    const auto& segments = manifest().tensors[index].segments;
    if (tensor.kind != Residence::kStreamed) continue;
    EXPECT_LE(tensor.pinned_segments + tensor.coded_segments, segments.size());
    for (std::size_t i = tensor.pinned_segments; i < segments.size(); ++i) {
      const bool is_read = i >= tensor.pinned_segments + tensor.coded_segments;
      if (is_read) read += request_.stored[segments[i].page];
      if (!is_read || request_.coded) decoded += manifest().pages[segments[i].page].bytes;
    }
  }
  EXPECT_EQ(read, made.streamed_per_token);
  EXPECT_NEAR(static_cast<double>(decoded), static_cast<double>(made.decoded_per_token),
              0.01 * static_cast<double>(decoded));
}

// A third of it here: then the keys are read, and the rest of the head at last.
TEST_F(Plans, AsMuchOfTheHeadIsReadAsStorageDeliversWhileItIsMultiplied) {
  ResidencyRequest request;
  request.rates = {.storage = 5e9, .memory = 1.5e10};
  const TensorEntry& head = *find_tensor(manifest(), "head.weight");
  const double pages = static_cast<double>(head.segments.size());
  bool some = false, all = false;
  for (std::uint64_t more = 0; more < (std::uint64_t{12} << 20); more += 77'777) {
    request.budget = least() + more;
    const auto made = plan_residency(manifest(), request);
    ASSERT_TRUE(made);
    if (!made->pages_anything()) continue;
    std::uint32_t keys = 0, keys_read = 0;
    double head_read = 0;
    for (std::size_t i = 0; i < manifest().tensors.size(); ++i) {
      const TensorEntry& tensor = manifest().tensors[i];
      const auto count = static_cast<std::uint32_t>(tensor.segments.size());
      const bool streams = made->tensors[i].kind == Residence::kStreamed;
      const std::uint32_t read = streams ? count - made->tensors[i].pinned_segments : 0;
      if (&tensor == &head) head_read = read / pages;
      if (!tensor.name.ends_with("ffn.key.weight")) continue;
      keys += count;
      keys_read += read;
    }
    if (keys_read > 0) EXPECT_GE(head_read, 0.32) << more;
    if (keys_read < keys) EXPECT_LE(head_read, 0.35) << more;
    some = some || (keys_read > 0 && keys_read < keys);
    all = all || head_read == 1;
  }
  EXPECT_TRUE(some && all);
}

TEST(TensorResidence, WhatIsReadLiesEvenlyBetweenWhatStaysCoded) {
  for (std::uint32_t count = 1; count < 40; ++count) {
    for (std::uint32_t coded = 0; coded <= count; ++coded) {
      for (const std::uint32_t pinned : {0U, std::min(3U, count - coded)}) {
        const TensorResidence residence = {Residence::kStreamed, pinned, coded, true};
        std::uint32_t found = 0, run = 0, longest = 0;
        for (std::uint32_t i = 0; i < count; ++i) {
          const bool is_coded = residence.is_coded(i, count);
          EXPECT_TRUE(!is_coded || i >= pinned);
          found += is_coded ? 1 : 0;
          run = is_coded ? run + 1 : 0;
          longest = std::max(longest, run);
        }
        EXPECT_EQ(found, coded) << count << ' ' << pinned;
        const std::uint32_t read = count - pinned - coded;
        if (read != 0) EXPECT_LE(longest, coded / read + 1) << count << ' ' << coded;
      }
    }
  }
}

TEST_F(Plans, SlowStorageMakesPagesStayCodedAndFastStorageDecoded) {
  ModelConfig large = kConfig;
  large.width = 512;
  large.ffn_width = 2048;
  test::MemoryPages pages = test::random_model(Format::kQ8, large);
  ResidencyRequest request{.threads = 2, .coded_share = 0.6};
  request.budget = *smallest_budget(pages.manifest(), request) + 10'500'000;
  const auto coded_at = [&](double storage) {
    request.rates.storage = storage;
    return plan_residency(pages.manifest(), request)->coded_bytes;
  };
  EXPECT_GT(coded_at(1e8), 0U);
  EXPECT_GE(coded_at(1e8), coded_at(1e9));
  EXPECT_EQ(coded_at(1e12), 0U);
  request.rates.coder = 1e12;  // decoding costs nothing: as much as there is
  EXPECT_GT(coded_at(1e9), coded_at(1e12));
}

}  // namespace
}  // namespace skein
