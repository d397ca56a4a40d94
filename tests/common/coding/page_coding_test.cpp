#include "common/coding/page_coding.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <random>

#include "kernels/isa/isa.h"

namespace skein {
namespace {

constexpr Format kFormats[] = {Format::kF32, Format::kBf16, Format::kF16, Format::kQ8,
                               Format::kQ6,  Format::kQ5,   Format::kQ4};
constexpr Layout kLayouts[] = {Layout::kRows, Layout::kTiles};

// On every instruction set, by a coder that has seen nothing before; the coded size.
std::size_t expect_back(ByteView page, const std::vector<PageSegment>& parts) {
  const Buffer coded = PageCoder().code(page, parts);
  EXPECT_LE(coded.size(), coded_bound(page.size()));
  for (const Isa isa : supported_isas()) {
    EXPECT_TRUE(select_isa(name_of(isa)));
    Buffer out(page.size());
    const auto decoded = PageCoder().decode(coded, out);
    EXPECT_TRUE(decoded) << to_string(decoded.error());
    EXPECT_TRUE(std::ranges::equal(out, page)) << name_of(isa);
  }
  EXPECT_TRUE(select_isa(""));
  return coded.size();
}

Buffer random_bytes(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  Buffer bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

Buffer weights(const PageSegment& part) {
  std::mt19937 random(11);
  std::normal_distribution<float> normal(0, 0.02F);
  std::vector<float> values(std::size_t{part.rows} * part.cols);
  for (float& value : values) value = normal(random);
  Buffer bytes(part.bytes());
  encode(part.format, part.layout, part.rows, part.cols, values, bytes);
  return bytes;
}

TEST(PageCoding, EveryFormatAndLayoutComesBack) {
  for (const Format format : kFormats) {
    for (const Layout layout : kLayouts) {
      for (const auto& [rows, cols] : {std::pair{1U, 1U}, {1U, 640U}, {7U, 33U}, {48U, 256U}}) {
        const PageSegment part = {0, format, layout, rows, cols};
        expect_back(weights(part), {part});
        expect_back(random_bytes(part.bytes(), rows + cols), {part});
        expect_back(Buffer(part.bytes(), std::byte{0x3C}), {part});
      }
    }
  }
}

TEST(PageCoding, WeightsShrinkAndRandomBytesGrowByOne) {
  const PageSegment q4 = {0, Format::kQ4, Layout::kTiles, 192, 1024};
  const Buffer matrix = weights(q4);
  EXPECT_LT(expect_back(matrix, {q4}), matrix.size() * 95 / 100);
  const PageSegment bf16 = {0, Format::kBf16, Layout::kRows, 64, 1024};
  const Buffer floats = weights(bf16);
  EXPECT_LT(expect_back(floats, {bf16}), floats.size() * 67 / 100);
  const Buffer noise = random_bytes(100'000, 1);
  EXPECT_EQ(expect_back(noise, {}), noise.size() + 1);
  const Buffer same(kMaxCodablePage, std::byte{9});
  EXPECT_LT(expect_back(same, {}), 10U);
}

TEST(PageCoding, TextShrinksToo) {
  std::string text;
  for (int i = 0; i < 8000; ++i) text += std::to_string(i) + " '" + std::to_string(i * 7) + "'\n";
  EXPECT_LT(expect_back(as_bytes(text), {}), text.size() / 3);
}

TEST(PageCoding, VectorsAndMatricesShareAPage) {
  Buffer page;
  std::vector<PageSegment> parts;
  const auto add = [&](Format format, Layout layout, std::uint32_t rows, std::uint32_t cols) {
    page.resize((page.size() + 63) / 64 * 64);
    const PageSegment part = {static_cast<std::uint32_t>(page.size()), format, layout, rows, cols};
    append(page, weights(part));
    parts.push_back(part);
  };
  for (int i = 0; i < 20; ++i) add(Format::kBf16, Layout::kRows, 1, 250);
  add(Format::kF32, Layout::kRows, 1, 77);
  add(Format::kQ5, Layout::kTiles, 20, 96);
  add(Format::kQ4, Layout::kRows, 9, 70);
  append(page, as_bytes("what no part tells of"));
  EXPECT_LT(expect_back(page, parts), page.size() * 3 / 4);
  // Whatever is said about a page, it comes back.
  parts[3].offset += 64;
  parts[7].rows = 100'000;
  parts.push_back({10, Format::kQ8, Layout::kTiles, 5, 5});
  expect_back(page, parts);
  expect_back(random_bytes(page.size(), 4), parts);
}

TEST(PageCoding, TheSameBytesEveryTime) {
  const PageSegment part = {0, Format::kQ6, Layout::kTiles, 100, 300};
  PageCoder coder;
  const Buffer first = coder.code(weights(part), std::span(&part, 1));
  coder.code(random_bytes(70'000, 3), {});
  EXPECT_EQ(coder.code(weights(part), std::span(&part, 1)), first);
  EXPECT_TRUE(select_isa("scalar"));
  EXPECT_EQ(PageCoder().code(weights(part), std::span(&part, 1)), first);
  EXPECT_TRUE(select_isa(""));
}

TEST(PageCoding, DamageIsRefusedOrMakesAnotherPage) {
  const PageSegment part = {0, Format::kQ4, Layout::kTiles, 40, 128};
  Buffer page = weights(part);
  append(page, as_bytes(std::string(200, 'x') + "and more"));
  PageCoder coder;
  const Buffer coded = coder.code(page, std::span(&part, 1));
  Buffer out(page.size());
  for (std::size_t size = 0; size < coded.size(); ++size) {
    EXPECT_FALSE(coder.decode(ByteView(coded).first(size), out)) << size;
  }
  // A tile's rows beyond the matrix are stored too, so that one row more or fewer means the same.
  std::size_t harmless = 0;
  for (std::size_t at = 0; at < coded.size(); ++at) {
    Buffer damaged = coded;
    damaged[at] ^= std::byte{1};
    if (coder.decode(damaged, out) && out == page) ++harmless;
  }
  EXPECT_LE(harmless, 3U);
  Buffer longer = coded;
  longer.push_back({});
  EXPECT_FALSE(coder.decode(longer, out));
  Buffer other(page.size() - 1);
  EXPECT_FALSE(coder.decode(coded, other));
  EXPECT_FALSE(coder.decode(coded, MutableByteView()));
}

TEST(PageCoding, KnownBytesDecodeAgainAndAPageMayStandAsItIs) {
  const PageSegment part = {0, Format::kQ4, Layout::kTiles, 40, 128};
  const Buffer page = weights(part);
  PageCoder coder;
  const Buffer coded = coder.code(page, std::span(&part, 1));
  const Buffer stored = stored_page(page);
  EXPECT_FALSE(is_stored_page(coded.size(), page.size()));
  EXPECT_TRUE(is_stored_page(stored.size(), page.size()));
  EXPECT_TRUE(std::ranges::equal(ByteView(stored).subspan(kStoredAt), page));
  for (const Buffer& bytes : {coded, stored}) {
    Buffer out(page.size());
    ASSERT_TRUE(coder.decode_again(bytes, out));
    EXPECT_EQ(out, page);
  }
  Buffer damaged = coded;
  damaged.back() ^= std::byte{1};
  Buffer out(page.size());
  EXPECT_FALSE(coder.decode(damaged, out));  // its check is looked at again
}

TEST(PageCoding, AbsurdShapesAreRefused) {
  Buffer coded = {std::byte{1}, std::byte{4}, std::byte{10}, std::byte{2}};
  append_le(coded, ~0U);
  append_le(coded, ~0U);
  append_le(coded, 0U);
  Buffer out(1000);
  EXPECT_FALSE(PageCoder().decode(coded, out));
}

// The committed bytes are those that today's code writes and reads; README.md walks through them.
TEST(PageCoding, GoldenBytes) {
  const PageSegment part = {0, Format::kQ4, Layout::kRows, 1, 256};
  const std::vector<std::uint8_t> codes(256, 9);
  const std::vector<std::uint16_t> heads(8, packed_head(1, 64));
  Buffer page(part.bytes());
  place_packed(part.format, part.layout, part.rows, part.cols, codes, heads, page);
  page.resize(192);
  const Buffer coded = PageCoder().code(page, std::span(&part, 1));
  std::ifstream in(SKEIN_SOURCE_DIR "/tests/golden/coded_artifact_page/worked-example.page",
                   std::ios::binary);
  const Buffer stored = to_buffer(std::string(std::istreambuf_iterator<char>(in), {}));
  EXPECT_EQ(to_hex(coded), to_hex(stored));
  Buffer out(page.size());
  ASSERT_TRUE(PageCoder().decode(stored, out));
  EXPECT_EQ(out, page);
}

}  // namespace
}  // namespace skein
