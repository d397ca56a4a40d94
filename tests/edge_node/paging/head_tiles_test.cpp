// A head that is not in memory and whose screen is: greedy choices are those of the whole model,
// and few of the head's bytes are read for them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "common/env/real/internal/thread_pool.h"
#include "tests/edge_node/paging/paged_model.h"
#include "tests/support/allocation_counter.h"
#include "tests/support/screened_model.h"

namespace skein {
namespace {

constexpr std::uint32_t kVocab = 2003;
constexpr TokenId kTokens = 10;
const test::ScreenForm kSharp = {Format::kQ8, Format::kQ8, 128};
const test::ScreenForm kBlunt = {Format::kQ8, Format::kQ4, 4};

test::MemoryPages model_of(const test::ScreenForm& form) {
  ModelConfig config = test::small_config();
  config.vocab = kVocab;
  test::MemoryPages pages = test::screened_model(form, config, 11);
  std::vector<float> order(kVocab);
  for (std::uint32_t i = 0; i < kVocab; ++i) order[i] = static_cast<float>(i * 7 % kVocab);
  pages.add("head.order", {.cols = kVocab}, order);
  return pages;
}

// A session and a way to go on with it.
struct Session {
  Session(const Model& model, Parallel& parallel)
      : runner(model, parallel), state(model.initial_state()), logits(kVocab) {}
  Result<void> step(TokenId token, std::uint32_t most) {
    const Feed feed = {std::span(&token, 1), &state, logits, most};
    return runner.feed(std::span(&feed, 1));
  }
  Runner runner;
  RwkvState state;
  std::vector<float> logits;
};

// What was asked for is there, bit for bit, and nothing else is but what the dense head says.
void expect_the_largest(const std::vector<float>& made, const std::vector<float>& dense,
                        std::uint32_t most) {
  std::vector<float> sorted = dense;
  std::ranges::sort(sorted, std::greater<>());
  for (std::uint32_t v = 0; v < kVocab; ++v) {
    if (dense[v] >= sorted[most - 1] || std::isfinite(made[v])) ASSERT_EQ(made[v], dense[v]) << v;
  }
}

void expect_the_whole_models(test::MemoryPages& pages, test::PagedModel& paged,
                             Parallel& parallel) {
  SerialParallel alone;
  const auto whole = Model::open(pages);
  ASSERT_TRUE(whole) << to_string(whole.error());
  Session dense(**whole, alone);
  Session session(*paged.model, parallel);
  for (TokenId token = 0; token < kTokens; ++token) {
    const std::uint32_t most = token % 5 == 4 ? 0 : token % 2 == 0 ? 1 : 6;
    ASSERT_TRUE(dense.step(token, 0));
    const auto made = session.step(token, most);
    ASSERT_TRUE(made) << to_string(made.error());
    expect_the_largest(session.logits, dense.logits, most == 0 ? kVocab : most);
    if (testing::Test::HasFatalFailure()) return;
    ASSERT_EQ(session.state, dense.state);
  }
}

using Tiers = std::pair<double, double>;  // shares decoded in memory, and coded there
constexpr Tiers kAll[] = {{1, 0}, {0.5, 0}, {0, 0.5}, {0.3, 0.4}, {0, 1}, {0, 0}};

TEST(HeadTiles, TheLargestLogitsAreThoseOfTheWholeModelInEveryTierAndFile) {
  real::ThreadPool threads(3);
  for (const Format head : {Format::kBf16, Format::kQ4}) {
    for (const std::uint32_t rank : {128U, 4U}) {
      test::MemoryPages pages = model_of({head, Format::kQ8, rank});
      for (const PageCoding coding :
           {PageCoding::kPlain, PageCoding::kCoded, PageCoding::kCodedButRows}) {
        test::PagedModel paged(pages, coding);
        for (const auto& [pinned, coded] : kAll) {
          const auto opened = paged.open(paged.plan(pinned, coded), threads);
          ASSERT_TRUE(opened) << to_string(opened.error());
          ASSERT_TRUE(paged.pager->holds_screen());
          expect_the_whole_models(pages, paged, threads);
          if (HasFatalFailure()) {
            FAIL() << name_of(head) << " " << rank << " " << static_cast<int>(coding) << " "
                   << pinned << " " << coded;
          }
        }
      }
    }
  }
}

TEST(HeadTiles, TheLargestLogitsAreThoseOfTheWholeModelHoweverStorageIsRead) {
  SerialParallel alone;
  test::MemoryPages pages = model_of(kSharp);
  for (const char* way : {"io_uring,direct", "pread,direct", "pread,buffered"}) {
    const BlockIo reads = parse_block_io(way).value();
    RealEnv real({.compute_threads = 1, .block_io = reads});
    if (!real.env().disk.open_blocks("/proc/self/exe")) {
      std::cout << way << " is not to be had here\n";
      continue;
    }
    test::PagedModel paged(pages, PageCoding::kPlain, reads);
    ASSERT_TRUE(paged.open(paged.plan(0.2), alone));
    expect_the_whole_models(pages, paged, alone);
    if (HasFatalFailure()) FAIL() << way;
  }
}

// A buffer that holds next to nothing is filled more often.
TEST(HeadTiles, ComeInManyPartsThroughASmallBuffer) {
  SerialParallel alone;
  test::MemoryPages pages = model_of({Format::kBf16, Format::kQ4, 100});
  for (const PageCoding coding : {PageCoding::kPlain, PageCoding::kCoded}) {
    test::PagedModel paged(pages, coding);
    for (const std::uint64_t half : {16384U, 24576U}) {
      paged.tile_bytes = 2 * half;
      ASSERT_TRUE(paged.open(paged.plan(0), alone));
      expect_the_whole_models(pages, paged, alone);
      if (HasFatalFailure()) FAIL() << half;
    }
  }
}

struct Given {
  explicit Given(const test::ScreenForm& form, PageCoding coding = PageCoding::kPlain,
                 double share = 0, bool still = false)
      : pages(model_of(form)), paged(pages, coding) {
    if (still) paged.still();
    const auto opened =
        paged.open(paged.plan(share, coding == PageCoding::kCoded ? 0.3 : 0), alone);
    CHECK(opened.has_value());
    session.emplace(*paged.model, alone);
  }
  PagerCounters counters() const { return paged.pager->counters(); }
  const TensorEntry& head() const { return *find_tensor(paged.manifest(), "head.weight"); }
  std::uint64_t head_bytes() const {
    return stored_bytes(head().format, head().layout, head().rows, head().cols);
  }

  SerialParallel alone;
  test::MemoryPages pages;
  test::PagedModel paged;
  std::optional<Session> session;
};

class HeadTilesOfAFile : public testing::TestWithParam<PageCoding> {};

INSTANTIATE_TEST_SUITE_P(Plain, HeadTilesOfAFile,
                         testing::Values(PageCoding::kPlain, PageCoding::kCodedButRows));

TEST_P(HeadTilesOfAFile, AreAllThatIsReadOfIt) {
  Given given(kSharp, GetParam());
  const auto read_by = [&](std::uint32_t most) {
    for (TokenId token = 0; token < 4; ++token) EXPECT_TRUE(given.session->step(token, most));
    const PagerCounters before = given.counters();
    for (TokenId token = 0; token < 20; ++token) EXPECT_TRUE(given.session->step(token, most));
    return given.counters() - before;
  };
  const PagerCounters greedy = read_by(1);
  const PagerCounters all = read_by(0);
  EXPECT_GT(greedy.tile_bytes, 0U);
  EXPECT_LT(greedy.tile_bytes, 20 * given.head_bytes() / 4);
  EXPECT_EQ(greedy.restarts, 0U);
  EXPECT_EQ(all.tile_bytes, 0U);
  EXPECT_EQ(all.restarts, 0U);
  EXPECT_LT(greedy.bytes_read + 20 * given.head_bytes() * 7 / 10, all.bytes_read);
}

// Read with the layers, not before them.
TEST(HeadTiles, AScreenThatTellsLittleMakesThePassWalkIntoTheHead) {
  Given given(kBlunt);
  Given whole(kBlunt, PageCoding::kPlain, 1);
  const std::uint64_t before = given.counters().restarts;
  for (TokenId token = 0; token < 5; ++token) {
    ASSERT_TRUE(given.session->step(token, 3));
    ASSERT_TRUE(whole.session->step(token, 0));
    ASSERT_EQ(given.session->logits, whole.session->logits);
    ASSERT_EQ(given.session->state, whole.session->state);
  }
  EXPECT_GE(given.counters().restarts, before + 5);
  EXPECT_LE(given.counters().restarts, before + 10);
}

TEST(HeadTiles, SessionsThatWantFewLogitsShareAPassWithOneThatWantsAll) {
  SerialParallel alone;
  Given given(kSharp, PageCoding::kPlain, 0.2);
  const auto whole = Model::open(given.pages);
  for (const std::size_t sessions : {2U, 4U, 7U}) {
    for (const bool one_wants_all : {false, true}) {
      Runner paged(*given.paged.model, alone);
      Runner dense(**whole, alone);
      std::vector<RwkvState> states(sessions, (*whole)->initial_state());
      std::vector<RwkvState> others = states;
      std::vector<std::vector<float>> made(sessions, std::vector<float>(kVocab));
      for (TokenId token = 0; token < 4; ++token) {
        std::vector<TokenId> ids(sessions);
        std::vector<Feed> feeds;
        for (std::size_t i = 0; i < sessions; ++i) {
          ids[i] = static_cast<TokenId>(token * 40 + i * 3);
          const std::uint32_t most = one_wants_all && i == 0 ? 0 : 1;
          feeds.push_back({std::span(ids).subspan(i, 1), &states[i], made[i], most});
        }
        ASSERT_TRUE(paged.feed(feeds));
        for (std::size_t i = 0; i < sessions; ++i) {
          std::vector<float> expected(kVocab);
          ASSERT_TRUE(dense.step(ids[i], others[i], expected));
          expect_the_largest(made[i], expected, one_wants_all && i == 0 ? kVocab : 1);
          if (HasFatalFailure()) FAIL() << sessions << " " << i;
          ASSERT_EQ(states[i], others[i]);
        }
      }
    }
  }
}

// A byte of each tile, or of each page that is coded.
void damage_head(Given& given) {
  const bool coded = given.paged.artifact().coded;
  for (const Segment& segment : given.head().segments) {
    const std::uint32_t tiles = coded ? 1 : (segment.rows + kTileRows - 1) / kTileRows;
    for (std::uint32_t i = 0; i < tiles; ++i) {
      given.paged.damage(segment.page, (i + 0.6) / tiles);
    }
  }
}

TEST(HeadTiles, ADamagedOneIsToldAndNeverUsed) {
  for (const PageCoding coding : {PageCoding::kPlain, PageCoding::kCoded}) {
    Given given(kSharp, coding);
    ASSERT_TRUE(given.session->step(3, 1));
    const RwkvState before = given.session->state;
    damage_head(given);
    const auto outcome = given.session->step(700, 1);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, Errc::kCorrupt) << to_string(outcome.error());
    EXPECT_EQ(given.session->state, before);
    // Who mends is told which page.
    const std::vector<std::uint32_t> damaged = given.paged.artifact().damaged->take();
    ASSERT_EQ(damaged.size(), 1U) << to_string(outcome.error());
    const std::string name = "page " + std::to_string(damaged[0]) + " of ";
    EXPECT_TRUE(outcome.error().what.find(name) != std::string::npos) << to_string(outcome.error());
    EXPECT_TRUE(std::ranges::any_of(
        given.head().segments, [&](const Segment& segment) { return segment.page == damaged[0]; }));
    // Mended, the same session goes on.
    damage_head(given);
    ASSERT_TRUE(given.session->step(700, 1));
    SerialParallel alone;
    const auto whole = Model::open(given.pages);
    Session dense(**whole, alone);
    dense.state = before;
    ASSERT_TRUE(dense.step(700, 0));
    expect_the_largest(given.session->logits, dense.logits, 1);
    EXPECT_EQ(given.session->state, dense.state);
  }
}

TEST(HeadTiles, AHeadThatIsDamagedAtOpeningIsNotOpened) {
  Given given(kSharp);
  const std::uint32_t page = given.head().segments.back().page;
  given.paged.damage(page, 0.4);
  const auto opened = given.paged.open(given.paged.plan(0), given.alone);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::kCorrupt);
  EXPECT_NE(opened.error().what.find("page " + std::to_string(page)), std::string::npos);
}

TEST(HeadTiles, AFailingDeviceEndsThePassNamedAndChangesNoState) {
  Given given(kSharp, PageCoding::kPlain, 0, true);
  ASSERT_TRUE(given.session->step(3, 1));
  const RwkvState before = given.session->state;
  test::StillFile& file = given.paged.still();
  const auto reads = [&] {
    const std::uint64_t read = given.counters().tile_bytes;
    EXPECT_TRUE(given.session->step(5, 1));
    given.session->state = before;
    return given.counters().tile_bytes - read;
  };
  const std::uint64_t all = reads();
  // Every place of the head in turn: most are not read.
  std::uint32_t failures = 0;
  for (const Segment& segment : given.head().segments) {
    for (std::uint32_t tile = 0; tile < 3; ++tile) {
      file.broken = given.paged.artifact().offsets[segment.page] + tile * 2304 + 100;
      const auto outcome = given.session->step(5, 1);
      if (outcome) {
        given.session->state = before;
        continue;
      }
      ++failures;
      EXPECT_EQ(outcome.error().code, Errc::kInput) << to_string(outcome.error());
      EXPECT_NE(outcome.error().what.find("page "), std::string::npos);
      EXPECT_EQ(given.session->state, before);
    }
  }
  EXPECT_GT(failures, 0U);
  EXPECT_LT(failures, 3 * given.head().segments.size());
  file.broken.reset();
  EXPECT_EQ(reads(), all);
}

TEST(HeadTiles, APassAllocatesNothingOnceWarm) {
  for (const PageCoding coding :
       {PageCoding::kPlain, PageCoding::kCoded, PageCoding::kCodedButRows}) {
    Given given(kSharp, coding, 0.2, true);
    for (TokenId token = 0; token < 60; ++token) ASSERT_TRUE(given.session->step(token, 1));
    const std::uint64_t before = test::allocations;
    for (TokenId token = 0; token < 60; ++token) ASSERT_TRUE(given.session->step(token, 1));
    EXPECT_EQ(test::allocations, before) << static_cast<int>(coding);
  }
}

}  // namespace
}  // namespace skein
