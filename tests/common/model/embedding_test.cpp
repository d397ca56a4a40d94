#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "common/model/weights.h"
#include "tests/support/memory_pages.h"

namespace skein {
namespace {

// Counts what is read of its pages, and can lose one of them.
class CountingPages final : public PageSource {
 public:
  explicit CountingPages(test::MemoryPages& pages) : pages_(pages) {}
  const Manifest& manifest() const override { return pages_.manifest(); }
  Result<ByteView> page(PageIndex index) override { return pages_.page(index); }
  Result<void> read(PageIndex index, std::uint64_t offset, MutableByteView out) override {
    ++reads;
    if (damaged == index) return fail(Errc::kCorrupt, "page 3 does not match its hash");
    return pages_.read(index, offset, out);
  }

  int reads = 0;
  std::optional<PageIndex> damaged;

 private:
  test::MemoryPages& pages_;
};

constexpr std::uint32_t kRows = 3000;
constexpr std::uint32_t kWidth = 40;

struct Given {
  explicit Given(Format format) {
    std::vector<float> values(std::size_t{kRows} * kWidth);
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>(i % 251) / 64 - static_cast<float>(i / kWidth % 17) / 8;
    }
    stored.add("emb.weight", {format, Layout::kRows, kRows, kWidth}, values);
    row_bytes = stored_bytes(format, Layout::kRows, 1, kWidth);
  }
  std::vector<float> expected(std::uint32_t row) {
    std::vector<float> out(kWidth);
    const ByteView page = *stored.page(PageIndex(row / 48));
    read_row(stored.tensor("emb.weight").format, kWidth, page.data() + row % 48 * row_bytes, out);
    return out;
  }
  test::MemoryPages stored;
  CountingPages pages{stored};
  std::size_t row_bytes = 0;
};

TEST(EmbeddingTable, GivesEveryRowWhateverIsKept) {
  for (const Format format : {Format::kF32, Format::kBf16, Format::kQ8, Format::kQ5}) {
    Given given(format);
    EmbeddingTable table(given.pages, given.stored.tensor("emb.weight"));
    std::vector<float> row(kWidth);
    for (std::uint32_t i = 0; i < 8000; ++i) {
      const std::uint32_t wanted = i * 1237 % kRows;
      ASSERT_TRUE(table.read_row(wanted, row));
      ASSERT_EQ(row, given.expected(wanted)) << wanted;
    }
  }
}

TEST(EmbeddingTable, RowsOfLateAreNotReadAgain) {
  Given given(Format::kQ8);
  EmbeddingTable table(given.pages, given.stored.tensor("emb.weight"));
  std::vector<float> row(kWidth);
  for (int round = 0; round < 5; ++round) {
    for (std::uint32_t i = 0; i < EmbeddingTable::kKeptRows; ++i) {
      ASSERT_TRUE(table.read_row(i, row));
    }
  }
  EXPECT_EQ(given.pages.reads, EmbeddingTable::kKeptRows);
}

TEST(EmbeddingTable, ADamagedPageIsAnErrorEachTimeItIsNeeded) {
  Given given(Format::kF32);
  EmbeddingTable table(given.pages, given.stored.tensor("emb.weight"));
  std::vector<float> row(kWidth);
  ASSERT_TRUE(table.read_row(48, row));
  given.pages.damaged = PageIndex(1);
  EXPECT_TRUE(table.read_row(48, row)) << "it was kept";
  EXPECT_EQ(table.read_row(49, row).error().code, Errc::kCorrupt);
  EXPECT_EQ(table.read_row(49, row).error().code, Errc::kCorrupt);
  given.pages.damaged.reset();
  ASSERT_TRUE(table.read_row(49, row));
  EXPECT_EQ(row, given.expected(49));
}

}  // namespace
}  // namespace skein
