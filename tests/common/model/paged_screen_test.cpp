// A screened head that is not in memory, out of a source that hands over tiles: what a Runner asks
// it for, and what comes of it.
#include <gtest/gtest.h>

#include "common/model/model.h"
#include "tests/support/screened_model.h"

namespace skein {
namespace {

constexpr std::uint32_t kVocab = 333;
constexpr std::uint32_t kTiles = (kVocab + kTileRows - 1) / kTileRows;

ModelConfig config() {
  ModelConfig config = test::small_config();
  config.vocab = kVocab;
  return config;
}

// All is in memory but the head, of which a few tiles are handed over at a time.
class TileSource final : public PageSource, public PagedTensors {
 public:
  explicit TileSource(test::MemoryPages pages) : pages_(std::move(pages)) {}
  const Manifest& manifest() const override { return pages_.manifest(); }
  Result<ByteView> page(PageIndex index) override { return pages_.page(index); }
  PagedTensors* paged() override { return this; }
  bool holds_screen() const override { return holds; }

  bool is_paged(std::uint32_t tensor) const override { return &head() == &tensor_at(tensor); }
  void begin(const Walk& walk, Parallel&) override { walks.push_back(walk); }
  void end() override {}
  Result<std::span<const RowBlock>> rows_from(std::uint32_t, std::uint32_t first) override {
    ++blocks_asked;
    runs_.clear();
    for (const Segment& segment : head().segments) {
      if (segment.first_row >= first)
        runs_.push_back({at(segment), segment.first_row, segment.rows});
    }
    return std::span<const RowBlock>(runs_);
  }
  Result<Tiles> tiles_from(std::uint32_t, std::span<const std::uint8_t> wanted,
                           std::uint32_t first) override {
    EXPECT_EQ(wanted.size(), kTiles);
    runs_.clear();
    std::uint32_t tile = first;
    for (; tile < kTiles && runs_.size() < 3; ++tile) {
      if (wanted[tile] == 0) continue;
      ++tiles_asked;
      if (is_broken) return fail(Errc::kCorrupt, "page 7 does not match its hash");
      const Segment& segment = head().segments[tile * kTileRows / 48];
      const std::uint32_t row = tile * kTileRows;
      const std::uint64_t skipped =
          stored_bytes(head().format, Layout::kTiles, row - segment.first_row, head().cols);
      runs_.push_back({at(segment) + skipped, row, std::min(kTileRows, kVocab - row)});
    }
    return Tiles{runs_, tile};
  }
  void want(std::uint32_t, std::span<const std::uint8_t>) override {}
  Result<Neurons> neurons_from(std::uint32_t) override { return Neurons{}; }

  bool holds = true, is_broken = false;
  std::vector<Walk> walks;
  std::uint32_t tiles_asked = 0, blocks_asked = 0;

 private:
  const TensorEntry& head() const { return *find_tensor(manifest(), "head.weight"); }
  const TensorEntry& tensor_at(std::uint32_t index) const { return manifest().tensors[index]; }
  const std::byte* at(const Segment& segment) {
    return pages_.page(PageIndex(segment.page))->data() + segment.offset;
  }

  test::MemoryPages pages_;
  std::vector<RowBlock> runs_;
};

struct Pair {
  explicit Pair(const test::ScreenForm& form)
      : pages(test::screened_model(form, config(), 5)),
        source(pages),
        whole(std::move(*Model::open(pages))),
        paged(std::move(*Model::open(source))) {}

  // The same tokens' logits of both.
  void step(TokenId token, std::uint32_t most) {
    const Feed one = {std::span(&token, 1), &one_state, one_logits, most};
    const Feed other = {std::span(&token, 1), &other_state, other_logits, most};
    ASSERT_TRUE(one_runner.feed(std::span(&one, 1)));
    ASSERT_TRUE(other_runner.feed(std::span(&other, 1)));
    EXPECT_EQ(one_logits, other_logits);
    EXPECT_EQ(one_state, other_state);
  }

  test::MemoryPages pages;
  TileSource source;
  std::unique_ptr<Model> whole, paged;
  SerialParallel alone;
  Runner one_runner{*whole, alone}, other_runner{*paged, alone};
  RwkvState one_state{config()}, other_state{config()};
  std::vector<float> one_logits = std::vector<float>(kVocab);
  std::vector<float> other_logits = std::vector<float>(kVocab);
};

TEST(PagedScreen, AsksForAsManyTilesAsAreReadInMemory) {
  for (const Format format : {Format::kF32, Format::kBf16, Format::kQ8, Format::kQ4}) {
    Pair pair({format, Format::kQ8, 128});
    for (TokenId token = 0; token < 20; ++token) pair.step(token, 1);
    EXPECT_EQ(pair.one_runner.counters().head_bytes_read,
              pair.other_runner.counters().head_bytes_read);
    EXPECT_GT(pair.source.tiles_asked, 0U);
    EXPECT_LT(pair.source.tiles_asked, 20 * kTiles / 2);
    EXPECT_EQ(pair.source.blocks_asked, 0U);
    for (const PagedTensors::Walk& walk : pair.source.walks) EXPECT_FALSE(walk.head);
  }
}

TEST(PagedScreen, IsOfNoUseToWhoWantsAllLogitsOrManyRows) {
  Pair pair({Format::kQ8, Format::kQ8, 128});
  pair.step(3, 0);
  pair.step(4, kVocab);
  std::vector<TokenId> ids = {5, 6, 7, 8, 9};
  std::vector<RwkvState> states(ids.size(), RwkvState(config()));
  std::vector<std::vector<float>> logits(ids.size(), std::vector<float>(kVocab));
  std::vector<Feed> feeds;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    feeds.push_back({std::span(ids).subspan(i, 1), &states[i], logits[i], 1});
  }
  ASSERT_TRUE(pair.other_runner.feed(feeds));
  EXPECT_EQ(pair.source.tiles_asked, 0U);
  EXPECT_EQ(pair.source.walks.size(), 3U);
  for (const PagedTensors::Walk& walk : pair.source.walks) EXPECT_TRUE(walk.head);
}

TEST(PagedScreen, ThatTellsLittleGivesWayToTheWholeHead) {
  Pair pair({Format::kQ8, Format::kQ4, 2});
  for (TokenId token = 0; token < 5; ++token) pair.step(token, 2);
  EXPECT_GT(pair.source.blocks_asked, 0U);
  EXPECT_FALSE(pair.source.walks.front().head);
}

TEST(PagedScreen, ThatIsNotHeldIsNotLookedFor) {
  Pair pair({Format::kQ8, Format::kQ8, 128});
  pair.source.holds = false;
  ASSERT_TRUE(pair.paged->reread(pair.source));
  const TokenId id = 3;
  const Feed feed = {std::span(&id, 1), &pair.other_state, pair.other_logits, 1};
  ASSERT_TRUE(pair.other_runner.feed(std::span(&feed, 1)));
  ASSERT_TRUE(pair.one_runner.step(id, pair.one_state, pair.one_logits));
  EXPECT_EQ(pair.one_logits, pair.other_logits);
  EXPECT_EQ(pair.source.tiles_asked, 0U);
  EXPECT_TRUE(pair.source.walks.back().head);
}

TEST(PagedScreen, ATileThatCannotBeHadLeavesTheStatesAsTheyWere) {
  Pair pair({Format::kQ8, Format::kQ8, 128});
  pair.step(3, 1);
  const RwkvState before = pair.other_state;
  pair.source.is_broken = true;
  const TokenId id = 4;
  const Feed feed = {std::span(&id, 1), &pair.other_state, pair.other_logits, 1};
  const auto outcome = pair.other_runner.feed(std::span(&feed, 1));
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Errc::kCorrupt);
  EXPECT_EQ(pair.other_state, before);
  pair.source.is_broken = false;
  pair.step(4, 1);
}

}  // namespace
}  // namespace skein
