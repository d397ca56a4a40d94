// What a plan makes of a head's screen.
#include <gtest/gtest.h>

#include "edge_node/paging/internal/tier_choice.h"
#include "edge_node/paging/residency_plan.h"
#include "tests/edge_node/paging/paged_model.h"
#include "tests/support/program.h"
#include "tests/support/screened_model.h"

namespace skein {
namespace {

const ModelConfig kConfig = {
    .layers = 4, .width = 256, .heads = 4, .head_size = 64, .ffn_width = 1024, .vocab = 6000};

bool has_line(const ResidencyPlan& plan, std::string_view what) {
  return std::ranges::find(plan.shares, what, &MemoryShare::what) != plan.shares.end();
}

struct Device {
  bool coded;
  PagingRates rates;
  double largest_share;
};

class ScreenPlans : public testing::TestWithParam<Device> {
 protected:
  static constexpr double kShare = 0.7;
  ScreenPlans() {
    request_.rates = GetParam().rates;
    request_.threads = 2;
    request_.alignment = 512;
    request_.coded = GetParam().coded;
    request_.coded_share = GetParam().coded ? 0 : kShare;
    request_.largest_share = GetParam().largest_share;
    for (const PageEntry& page : manifest().pages) {
      const double bytes = page.bytes * (GetParam().coded ? kShare : 1.0);
      request_.stored.push_back(static_cast<std::uint32_t>(bytes));
    }
  }
  static const Manifest& manifest() {
    static test::MemoryPages pages =
        test::screened_model({Format::kQ8, Format::kQ4, 16}, kConfig, 3);
    return pages.manifest();
  }
  ResidencyPlan plan(std::uint64_t budget) {
    request_.budget = budget;
    auto made = plan_residency(manifest(), request_);
    CHECK(made.has_value());
    return std::move(*made);
  }
  ResidencyRequest request_;
};

INSTANTIATE_TEST_SUITE_P(
    Devices, ScreenPlans,
    testing::Values(Device{false, {3e8, 8e8, 2e10}, 1}, Device{false, {1e6, 8e8, 2e10}, 0.5},
                    Device{false, {3e9, 8e8, 2e10}, 1}, Device{true, {3e8, 8e8, 2e10}, 1},
                    Device{true, {1e6, 8e8, 2e10}, 0.5}, Device{true, {3e9, 8e8, 2e10}, 1}));

// Where decoding costs something, reading a little more may be faster.
TEST_P(ScreenPlans, NeverGiveOutMoreThanTheBudgetAndAreNoSlowerWithMore) {
  const std::uint64_t least = *smallest_budget(manifest(), request_);
  std::uint64_t before = ~0ULL, decoded = ~0ULL;
  double slower = 1e9;
  bool held = false;
  for (std::uint64_t more = 0; more < (std::uint64_t{16} << 20); more += 44'444) {
    const ResidencyPlan made = plan(least + more);
    EXPECT_LE(made.total(), least + more) << more;
    const bool more_is_faster = GetParam().coded || made.decoded_per_token < decoded;
    EXPECT_TRUE(more_is_faster || made.streamed_per_token <= before) << more;
    const double takes = paging::token_seconds(made.storage_s, made.compute_s);
    EXPECT_LE(takes, slower) << more;
    EXPECT_EQ(has_line(made, "head screen"), made.holds_screen) << more;
    before = made.streamed_per_token;
    decoded = made.decoded_per_token;
    slower = takes;
    held = held || (made.holds_screen && made.pages_anything());
  }
  EXPECT_EQ(before, 0U);  // all of it is in memory
  if (!GetParam().coded && GetParam().largest_share == 1) EXPECT_TRUE(held);
}

TEST_P(ScreenPlans, TakeNoMoreThanWithoutItAtTheLeast) {
  const std::uint64_t least = *smallest_budget(manifest(), request_);
  EXPECT_LE(plan(least).total(), least);
  request_.largest_share = 0;
  EXPECT_EQ(*smallest_budget(manifest(), request_), least);
  EXPECT_FALSE(plan(least).holds_screen);
}

TEST_P(ScreenPlans, KeepTheHeadLast) {
  const std::uint64_t least = *smallest_budget(manifest(), request_);
  const auto index_of = [&](const std::string& name) {
    return static_cast<std::size_t>(find_tensor(manifest(), name) - manifest().tensors.data());
  };
  for (std::uint64_t more = 0; more < (std::uint64_t{16} << 20); more += 333'333) {
    const ResidencyPlan made = plan(least + more);
    if (!made.holds_screen) continue;
    EXPECT_EQ(name_of(made.tensors[index_of("head.screen.sketch")].kind), "pinned");
    const TensorResidence& head = made.tensors[index_of("head.weight")];
    const bool any = head.kind == Residence::kPinned || head.pinned_segments > 0;
    if (!any) continue;
    EXPECT_EQ(name_of(made.tensors[index_of("blocks.3.ffn.key.weight")].kind), "pinned") << more;
  }
}

TEST_P(ScreenPlans, LeaveItOutWhereEveryLogitIsAlwaysAskedFor) {
  request_.largest_share = 0;
  for (const std::uint64_t budget : {std::uint64_t{14} << 20, std::uint64_t{1} << 30}) {
    EXPECT_FALSE(plan(budget).holds_screen);
  }
  request_.largest_share = 0.5;
  EXPECT_TRUE(plan(std::uint64_t{1} << 30).holds_screen);
}

// Longer than the head's rows: reading these is cheaper.
// It is multiplied as its rows stand, and put in order afterwards.
TEST(ScreenPlan, CountsALogitTwiceWhereTheHeadStandsInAnotherOrder) {
  test::MemoryPages plain = test::random_model(Format::kQ8, kConfig);
  const auto answers = [](const Manifest& manifest) {
    const auto made = plan_residency(manifest, {.budget = 1U << 30, .sessions = 3});
    return std::ranges::find(made->shares, "logits and sampling", &MemoryShare::what)->bytes;
  };
  test::MemoryPages pages = test::random_model(Format::kQ8, kConfig);
  Manifest ordered = pages.manifest();
  ordered.tensors.push_back(*find_tensor(ordered, "ln_out.weight"));
  ordered.tensors.back().name = kHeadOrder;
  EXPECT_EQ(answers(ordered), answers(pages.manifest()) + 3ULL * 4 * kConfig.vocab);
}

TEST(ScreenPlan, LeavesOutASketchThatTakesMoreThanItSpares) {
  test::MemoryPages pages = test::screened_model({Format::kQ4, Format::kQ8, 256}, kConfig, 3);
  ResidencyRequest request{.largest_share = 1};
  const std::uint64_t least = *smallest_budget(pages.manifest(), request);
  for (std::uint64_t more = 0; more < (std::uint64_t{8} << 20); more += 500'000) {
    request.budget = least + more;
    const ResidencyPlan made = *plan_residency(pages.manifest(), request);
    EXPECT_FALSE(made.holds_screen && made.pages_anything()) << more;
  }
}

// A model that speaks, and the program.
TEST(ProgramWithAScreen, WritesTheSameTextUnderEveryBudget) {
  test::MemoryPages pages =
      test::screened_model({Format::kBf16, Format::kQ8, 32, true, 0.01F}, kConfig, 3);
  std::string vocabulary;
  for (int id = 1; id < 6000; ++id) {
    const std::string text = "w" + std::to_string(id) + " ";
    vocabulary += std::to_string(id) + " '" + text + "' " + std::to_string(text.size()) + "\n";
  }
  pages.add_vocabulary(vocabulary);
  const test::PagedModel paged(pages);
  const std::string generate = "generate " + paged.path() +
                               " -p 'w7 w90 w3 ' -n 20 --temperature 0 --stats " + paged.path() +
                               ".json";
  const auto head_bytes = [&] {
    return test::number_after(test::bytes_of(paged.path() + ".json"), "\"head_bytes_read\":");
  };
  const test::Shown whole = test::shown(generate);
  ASSERT_EQ(whole.code, 0) << whole.text;
  const std::uint64_t screened = head_bytes();
  const test::Shown refused = test::shown(generate + " --memory-budget 1M");
  EXPECT_EQ(refused.code, 6) << refused.text;
  const std::uint64_t least = test::number_after(refused.text, "give at least ");
  ASSERT_GT(least, 0U);
  std::uint32_t paged_screens = 0;
  for (const std::uint64_t more : {0U, 1U, 2U, 4U, 200U}) {
    const std::string budget = " --memory-budget " + std::to_string(least + more) + "M";
    const test::Shown run = test::shown(generate + budget);
    ASSERT_EQ(run.code, 0) << budget << ": " << run.text;
    EXPECT_EQ(run.text, whole.text) << budget;
    if (head_bytes() == screened) ++paged_screens;
    if (more == 200) EXPECT_EQ(head_bytes(), screened);
  }
  EXPECT_GT(paged_screens, 1U);
  const std::string budget = " --memory-budget " + std::to_string(least + 1) + "M";
  const test::Shown plan = test::shown("inspect " + paged.path() + " --plan" + budget);
  EXPECT_NE(plan.text.find("head screen"), std::string::npos) << plan.text;
}

}  // namespace
}  // namespace skein
