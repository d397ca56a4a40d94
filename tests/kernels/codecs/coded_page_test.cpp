#include "kernels/codecs/coded_page.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <new>

#include "kernels/isa/isa.h"
#include "tests/kernels/codecs/drawn_codes.h"

namespace {
std::size_t allocations = 0;
}

void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace skein {
namespace {

using test::Codes;
using test::draw;
using test::draw_contexts;
using test::Drawn;
using test::encoded;
using test::kAllDrawn;

CodecMemory& memory() {
  static CodecMemory memory;
  return memory;
}

// The codes of `page` on every instruction set, which must be the same ones.
Result<Codes> decoded(ByteView page, std::size_t count, const Codes& contexts) {
  std::optional<Result<Codes>> first;
  for (const Isa isa : supported_isas()) {
    CHECK(select_isa(name_of(isa)));
    Codes codes(count, 1);
    Result<Codes> result = codes;
    if (const auto done = decode_page(page, {contexts}, memory(), codes); done) {
      result = codes;
    } else {
      result = tl::unexpected(done.error());
    }
    if (!first) first = result;
    EXPECT_EQ(result, *first) << name_of(isa);
  }
  CHECK(select_isa(""));
  return *first;
}

TEST(CodedPage, EveryDistributionAndLengthComesBackOnEveryInstructionSet) {
  for (const Drawn drawn : kAllDrawn) {
    for (const std::size_t count : {1U, 2U, 63U, 64U, 65U, 127U, 1000U, 4096U, 70001U, 262144U}) {
      const Codes codes = draw(drawn, count, static_cast<std::uint32_t>(count));
      const Buffer page = encoded(codes, {}, memory());
      EXPECT_LE(page.size(), coded_page_bound(count));
      EXPECT_EQ(decoded(page, count, {}), codes) << static_cast<int>(drawn) << ", " << count;
    }
  }
}

TEST(CodedPage, ContextsByColumnOrByCodeComeBack) {
  for (const Drawn drawn : kAllDrawn) {
    for (const std::size_t period : {1U, 5U, 63U, 64U, 100U, 2048U, 20011U, 30000U}) {
      for (const std::uint32_t contexts : {1U, 2U, 5U, 16U}) {
        Codes codes = draw(drawn, 20011, contexts);
        const Codes values = draw_contexts(period, contexts, 7);
        for (std::size_t i = 0; i < codes.size(); ++i) codes[i] += values[i % period];
        const Buffer page = encoded(codes, values, memory());
        EXPECT_EQ(decoded(page, codes.size(), values), codes)
            << static_cast<int>(drawn) << ", " << period << ", " << contexts;
      }
    }
  }
}

TEST(CodedPage, EmptyAndOneCodePagesAreTwelveBytes) {
  EXPECT_EQ(encoded({}, {}, memory()).size(), 12);
  EXPECT_EQ(decoded(encoded({}, {}, memory()), 0, {}), Codes());
  EXPECT_EQ(encoded(Codes(5000, 9), draw_contexts(64, 16, 1), memory()).size(), 12);
}

TEST(CodedPage, CodesThatDoNotCompressCostTheirBitsAndTheHeader) {
  EXPECT_EQ(encoded(draw(Drawn::kUniform, 10000, 1), {}, memory()).size(), 10012);
  EXPECT_EQ(encoded(draw(Drawn::kUniform4, 10000, 1), {}, memory()).size(), 5012);
}

TEST(CodedPage, CodesThatCompressCostLittleMoreThanTheirEntropy) {
  for (const Drawn drawn : {Drawn::kGeometric, Drawn::kRareOther, Drawn::kNormal, Drawn::kSparse}) {
    const Codes codes = draw(drawn, 1U << 17, 3);
    const double entropy = test::entropy_bytes(codes);
    EXPECT_LT(static_cast<double>(encoded(codes, {}, memory()).size()), 1.003 * entropy + 700)
        << static_cast<int>(drawn);
  }
}

TEST(CodedPage, ContextsSaveWhatTheyTell) {
  const Codes values = draw_contexts(512, 16, 1);
  Codes codes = draw(Drawn::kGeometric, 1U << 17, 3);
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] += 8 * values[i % 512];
  EXPECT_LT(encoded(codes, values, memory()).size() * 2, encoded(codes, {}, memory()).size());
}

TEST(CodedPage, DamageIsFoundAndSaid) {
  const Codes contexts = draw_contexts(50, 3, 1);
  const Codes codes = draw(Drawn::kGeometric, 3001, 5);
  const Buffer good = encoded(codes, contexts, memory());
  ASSERT_LT(good.size(), 1500);
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    Buffer page = good;
    page[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    const auto result = decoded(page, codes.size(), contexts);
    ASSERT_FALSE(result) << "bit " << bit;
    EXPECT_EQ(result.error().code, Errc::kCorrupt);
    EXPECT_NE(to_string(result.error()).find("coded page"), std::string::npos);
  }
  for (std::size_t bytes = 0; bytes < good.size(); ++bytes) {
    // A copy of exactly this size, so that a sanitizer sees a byte read beyond it.
    const Buffer page(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(bytes));
    EXPECT_FALSE(decoded(page, codes.size(), contexts)) << bytes;
  }
  Buffer longer = good;
  longer.resize(good.size() + 2);
  EXPECT_FALSE(decoded(longer, codes.size(), contexts));
}

TEST(CodedPage, OtherContextsOrAnotherCountAreRefused) {
  const Codes contexts = draw_contexts(50, 3, 1);
  Codes codes = draw(Drawn::kGeometric, 3000, 5);
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] += 3 * contexts[i % 50];
  const Buffer page = encoded(codes, contexts, memory());
  EXPECT_EQ(decoded(page, 3000, contexts), codes);
  EXPECT_FALSE(decoded(page, 3000, {}));
  EXPECT_FALSE(decoded(page, 3000, draw_contexts(50, 3, 2)));
  EXPECT_FALSE(decoded(page, 3000, Codes(50, 15)));
  EXPECT_FALSE(decoded(page, 2999, contexts));
}

TEST(CodedPage, NothingIsAllocatedButTheMemoryMadeBefore) {
  const Codes codes = draw(Drawn::kNormal, 1U << 16, 5);
  const Codes contexts = draw_contexts(1024, 16, 1);
  Buffer page(coded_page_bound(codes.size()));
  Codes out(codes.size());
  const std::size_t before = allocations;
  const std::size_t bytes = encode_page(codes, {contexts}, memory(), page);
  const bool good = decode_page(ByteView(page).first(bytes), {contexts}, memory(), out).has_value();
  EXPECT_EQ(allocations, before);
  EXPECT_TRUE(good);
}

}  // namespace
}  // namespace skein
