#include "edge_node/paging/pager.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/edge_node/paging/paged_model.h"
#include "tests/golden/hashes/golden_hashes.h"
#include "tests/support/allocation_count.h"

namespace skein {
namespace {

using test::PagedModel;

std::map<std::string, std::string> committed() {
  std::map<std::string, std::string> hashes;
  std::ifstream file(SKEIN_SOURCE_DIR "/tests/golden/hashes/logits.sha256");
  for (std::string model, format, hash; file >> model >> format >> hash;) {
    hashes[model + " " + format] = hash;
  }
  return hashes;
}

class PagedGolden : public testing::TestWithParam<test::GoldenModelKind> {};

// Shares of the pages that are decoded in memory, and coded there.
using Tiers = std::pair<double, double>;

void expect_the_whole_models(const test::GoldenModelKind& kind, PageCoding coding,
                             std::span<const Tiers> all, std::optional<BlockIo> reads = {},
                             bool in_turn = false) {
  const auto expected = committed();
  real::ThreadPool threads(3);
  for (const Format format : test::kGoldenFormats) {
    const std::string line = std::string(kind.name) + " " + std::string(name_of(format));
    ASSERT_TRUE(expected.contains(line)) << line;
    test::SeededModel seeded(kind.shape, format);
    PagedModel paged(seeded.pages(), coding, reads);
    for (const auto& [pinned, coded] : all) {
      // With and without rows read ahead.
      paged.ahead_bytes = pinned == 0.5 || pinned == 0.1 ? 0 : std::uint64_t{1} << 17;
      ResidencyPlan plan = paged.plan(pinned, coded);
      for (TensorResidence& tensor : plan.tensors) tensor.in_turn = in_turn;
      const auto opened = paged.open(std::move(plan), threads);
      ASSERT_TRUE(opened) << line << ": " << to_string(opened.error());
      EXPECT_EQ(paged.pager->plan().pages_anything(), pinned < 1) << pinned;
      for (const std::string& hash : test::golden_hashes(*paged.model, threads)) {
        EXPECT_EQ(hash, expected.at(line)) << line << ", pinned " << pinned << ", coded " << coded;
      }
      const PagerCounters counters = paged.pager->counters();
      EXPECT_EQ(counters.hits + counters.misses > 0, pinned + coded < 1);
    }
  }
}

TEST_P(PagedGolden, LogitsAreThoseOfTheWholeModelUnderEveryBudget) {
  constexpr Tiers kAll[] = {{1, 0}, {0.75, 0}, {0.5, 0}, {0.25, 0}, {0.1, 0}, {0, 0}};
  expect_the_whole_models(GetParam(), PageCoding::kPlain, kAll);
}

TEST_P(PagedGolden, LogitsAreThoseOfTheWholeModelInEveryTier) {
  constexpr Tiers kAll[] = {{1, 0}, {0.5, 0.5}, {0, 1}, {0.3, 0.4}, {0, 0.5}, {0.5, 0}, {0, 0}};
  expect_the_whole_models(GetParam(), PageCoding::kCoded, kAll);
}

TEST_P(PagedGolden, LogitsAreThoseOfTheWholeModelWhereAllButRowsIsCoded) {
  constexpr Tiers kAll[] = {{0.5, 0.3}, {0, 0.6}, {0, 0}};
  expect_the_whole_models(GetParam(), PageCoding::kCodedButRows, kAll);
}

TEST_P(PagedGolden, LogitsAreThoseOfTheWholeModelWherePagesAreCodedAtOpening) {
  constexpr Tiers kAll[] = {{0.5, 0.4}, {0, 0.9}, {0, 0.4}};
  expect_the_whole_models(GetParam(), PageCoding::kPlain, kAll);
}

TEST_P(PagedGolden, LogitsAreThoseOfTheWholeModelWhereReadPagesLieBetweenCodedOnes) {
  constexpr Tiers kAll[] = {{0.2, 0.5}, {0, 0.7}, {0, 0.3}};
  for (const PageCoding coding : {PageCoding::kPlain, PageCoding::kCoded}) {
    expect_the_whole_models(GetParam(), coding, kAll, {}, true);
  }
}

// Every way of reading that this machine has, forced.
TEST(PagedGoldenByEngine, LogitsAreThoseOfTheWholeModelHoweverStorageIsRead) {
  constexpr Tiers kSome[] = {{0.25, 0}, {0, 0.4}};
  for (const char* way : {"io_uring,direct", "pread,direct", "pread,buffered"}) {
    const BlockIo reads = parse_block_io(way).value();
    RealEnv real({.compute_threads = 1, .block_io = reads});
    const auto probe = real.env().disk.open_blocks("/proc/self/exe");
    if (!probe) {
      std::cout << way << " is not to be had here: " << to_string(probe.error()) << "\n";
      continue;
    }
    EXPECT_TRUE(std::string_view(way).starts_with((*probe)->kind().substr(0, 5)))
        << (*probe)->kind();
    for (const test::GoldenModelKind& kind : test::kGoldenModels) {
      if (kind.name != std::string_view("rwkv7")) continue;
      expect_the_whole_models(kind, PageCoding::kPlain, kSome, reads);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Versions, PagedGolden, testing::ValuesIn(test::kGoldenModels),
                         [](const auto& kind) {
                           std::string name = kind.param.name;
                           std::ranges::replace(name, '.', '_');
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

struct Given {
  struct Options {
    Architecture version = Architecture::kRwkv7;
    bool still = false;
    PageCoding coding = PageCoding::kPlain;
    double coded = 0;  // pages kept so
  };
  Given(Format format, double share) : Given(format, share, Options{}) {}
  Given(Format format, double share, Options options)
      : seeded({.version = options.version}, format), paged(seeded.pages(), options.coding) {
    if (options.still) paged.still();
    const auto opened = paged.open(paged.plan(share, options.coded), alone);
    CHECK(opened.has_value());
    logits.resize(test::SeededModel::kVocab);
    runner.emplace(*paged.model, alone);
    state = paged.model->initial_state();
  }
  Result<void> step(TokenId token) { return runner->step(token, state, logits); }
  std::uint32_t page_of(const std::string& name) const {
    return find_tensor(paged.manifest(), name)->segments[0].page;
  }

  SerialParallel alone;
  test::SeededModel seeded;
  PagedModel paged;
  std::optional<Runner> runner;
  RwkvState state;
  std::vector<float> logits;
};

TEST(Pager, TheStreamNeverLosesItsWayTokenAfterToken) {
  for (const auto version : {Architecture::kRwkv4, Architecture::kRwkv5_1, Architecture::kRwkv5_2,
                             Architecture::kRwkv6, Architecture::kRwkv7}) {
    for (const PageCoding coding : {PageCoding::kPlain, PageCoding::kCoded}) {
      Given given(Format::kQ8, 0, {.version = version, .coding = coding});
      for (TokenId token = 0; token < 20; ++token) ASSERT_TRUE(given.step(token));
      EXPECT_EQ(given.paged.pager->counters().restarts, 0U) << name_of(version);
    }
  }
}

struct Damaged {
  std::string tensor;
  PageCoding coding;
};

class PagerOverDamage : public testing::TestWithParam<Damaged> {};

INSTANTIATE_TEST_SUITE_P(Tensors, PagerOverDamage, testing::ValuesIn([] {
                           std::vector<Damaged> all;
                           for (const char* tensor :
                                {"blocks.1.att.output.weight", "blocks.1.ffn.key.weight",
                                 "blocks.1.ffn.value.weight", "head.weight"}) {
                             for (const PageCoding coding :
                                  {PageCoding::kPlain, PageCoding::kCoded}) {
                               all.push_back({tensor, coding});
                             }
                           }
                           all.push_back({"blocks.1.ffn.value.weight", PageCoding::kCodedButRows});
                           return all;
                         }()));

// A byte of its page: at the front, where a coded one no longer decodes, and in its middle, where
// it may decode to something else.
TEST_P(PagerOverDamage, ThePassEndsWithThePageNamedAndNoStateIsChanged) {
  const std::string& tensor = GetParam().tensor;
  // Of a page of rows the byte before them is not looked at.
  const double front = GetParam().coding == PageCoding::kCodedButRows ? 0.3 : 0;
  for (const double place : {front, 0.6}) {
    Given given(Format::kQ4, 0, {.coding = GetParam().coding});
    ASSERT_TRUE(given.step(3));
    const RwkvState before = given.state;
    const std::uint32_t page = given.page_of(tensor);
    given.paged.damage(page, place);
    // What was read before the damage may serve once more.
    Result<void> outcome;
    RwkvState last = before;
    for (TokenId token = 4; outcome && token < 60; ++token) {
      last = given.state;
      outcome = given.step(token);
    }
    ASSERT_FALSE(outcome) << tensor;
    EXPECT_EQ(outcome.error().code, Errc::kCorrupt);
    EXPECT_NE(outcome.error().what.find("page " + std::to_string(page)), std::string::npos)
        << to_string(outcome.error());
    EXPECT_EQ(given.state, last) << tensor;
    // Mended, the same session goes on.
    given.paged.damage(page, place);
    ASSERT_TRUE(given.step(7)) << tensor;
    std::vector<float> expected(given.logits.size());
    const auto whole = Model::open(given.seeded.pages());
    Runner runner(**whole, given.alone);
    ASSERT_TRUE(runner.step(7, last, expected));
    EXPECT_EQ(given.logits, expected);
    EXPECT_EQ(given.state, last);
  }
}

TEST(Pager, APassAllocatesNothingOnceWarm) {
  for (const Format format : {Format::kQ5, Format::kQ8, Format::kBf16}) {
    for (const PageCoding coding :
         {PageCoding::kPlain, PageCoding::kCoded, PageCoding::kCodedButRows}) {
      const double coded = coding == PageCoding::kPlain ? 0 : 0.3;
      Given given(format, 0.2, {.still = true, .coding = coding, .coded = coded});
      for (TokenId token = 0; token < 40; ++token) ASSERT_TRUE(given.step(token % 30));
      const std::uint64_t before = test::allocations;
      for (TokenId token = 0; token < 30; ++token) ASSERT_TRUE(given.step(token));
      EXPECT_EQ(test::allocations, before) << name_of(format);
    }
  }
}

TEST(Pager, APageThatStaysCodedIsVerifiedAtOpening) {
  Given given(Format::kQ4, 0, {.coding = PageCoding::kCoded, .coded = 1});
  const std::uint32_t page = given.page_of("blocks.1.ffn.key.weight");
  given.paged.damage(page, 0.6);
  ASSERT_TRUE(given.step(5));  // what is in memory is right
  const auto opened = given.paged.open(given.paged.plan(0, 1), given.alone);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::kCorrupt);
  EXPECT_NE(opened.error().what.find("page " + std::to_string(page)), std::string::npos)
      << to_string(opened.error());
}

TEST(Pager, PagesThatAreLargerCodedThanPlannedAreReadInEachPass) {
  Given given(Format::kQ4, 0);
  std::vector<float> expected(given.logits.size());
  ASSERT_TRUE(given.step(5));
  std::ranges::copy(given.logits, expected.begin());
  std::uint64_t before = ~0ULL;
  for (const std::uint64_t most : {1U, 4'000U, 12'000U}) {
    ASSERT_TRUE(given.paged.open(given.paged.plan(0, 0.9, most), given.alone));
    EXPECT_LE(given.paged.pager->plan().coded_bytes, most);
    const PagerCounters opened = given.paged.pager->counters();
    given.runner.emplace(*given.paged.model, given.alone);
    given.state = given.paged.model->initial_state();
    ASSERT_TRUE(given.step(5));
    EXPECT_EQ(given.logits, expected) << most;
    const PagerCounters ran = given.paged.pager->counters();
    const std::uint64_t pages = ran.hits + ran.misses - opened.hits - opened.misses;
    EXPECT_LT(pages, before) << most;
    before = pages;
    given.runner.reset();
  }
}

TEST(Pager, AFailingDeviceEndsThePassNamedAndChangesNoState) {
  for (const std::string& tensor :
       {std::string("blocks.0.att.key.weight"), std::string("blocks.1.ffn.value.weight"),
        std::string("head.weight")}) {
    Given given(Format::kQ8, 0, {.still = true});
    ASSERT_TRUE(given.step(3));
    const std::uint32_t page = given.page_of(tensor);
    given.paged.still().broken = given.paged.artifact().offsets[page];
    RwkvState last = given.state;
    Result<void> outcome;
    for (TokenId token = 0; outcome && token < 60; ++token) {
      last = given.state;
      outcome = given.step(token % 48);
    }
    ASSERT_FALSE(outcome) << tensor;
    EXPECT_EQ(outcome.error().code, Errc::kInput) << to_string(outcome.error());
    EXPECT_NE(outcome.error().what.find("page "), std::string::npos);
    EXPECT_EQ(given.state, last) << tensor;
    given.paged.still().broken.reset();
    EXPECT_TRUE(given.step(4)) << tensor;
  }
}

// Freed memory of this size goes back to the system: writing to it does not go unnoticed.
TEST(Pager, ItsMemoryOutlivesReadsThatAreStillOut) {
  Given given(Format::kQ8, 0, {.still = true});
  ResidencyPlan plan = given.paged.plan(0);
  plan.slot_bytes = std::uint32_t{1} << 26;
  plan.staging_bytes = std::uint64_t{1} << 27;
  for (int again = 0; again < 3; ++again) {
    ASSERT_TRUE(given.paged.open(plan, given.alone));
    given.runner.emplace(*given.paged.model, given.alone);
    given.state = given.paged.model->initial_state();
    ASSERT_TRUE(given.step(3));
    given.runner.reset();
  }
}

TEST(Pager, KeptRowsAreNotReadAgain) {
  Given given(Format::kQ8, 0.9);
  const RwkvState fresh = given.state;
  for (int round = 0; round < 40; ++round) {
    given.state = fresh;
    ASSERT_TRUE(given.step(5));
  }
  const PagerCounters before = given.paged.pager->counters();
  given.state = fresh;
  ASSERT_TRUE(given.step(5));
  const PagerCounters after = given.paged.pager->counters();
  EXPECT_GT(after.row_hits, before.row_hits);
  EXPECT_EQ(after.row_misses, before.row_misses);
}

TEST(Pager, APagedModelIsRunByOneComputationAtATime) {
  Given given(Format::kQ8, 0);
  ASSERT_TRUE(given.step(5));
  Runner other(*given.paged.model, given.alone);
  RwkvState state = given.paged.model->initial_state();
  std::vector<float> logits(given.logits.size());
  ASSERT_TRUE(other.step(5, state, logits));
  EXPECT_EQ(logits, given.logits);
}

}  // namespace
}  // namespace skein
