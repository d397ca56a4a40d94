#include "kernels/codecs/integers.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/kernels/codecs/drawn_codes.h"

namespace skein {
namespace {

template <class Integer>
Buffer encoded(const std::vector<Integer>& values, Contexts contexts, CodecMemory& memory) {
  Buffer page(integers_bound(values.size()));
  page.resize(encode_integers(std::span<const Integer>(values), contexts, memory, page));
  return page;
}

template <class Integer>
void expect_back(const std::vector<Integer>& values, Contexts contexts = {}) {
  CodecMemory memory;
  std::vector<Integer> out(values.size());
  const Buffer page = encoded(values, contexts, memory);
  const auto result = decode_integers(page, contexts, memory, std::span(out));
  ASSERT_TRUE(result) << to_string(result.error());
  EXPECT_EQ(out, values);
}

// Values of every magnitude, and those beside each power of two.
template <class Integer>
std::vector<Integer> magnitudes(std::size_t more) {
  std::vector<Integer> values = {0, std::numeric_limits<Integer>::min(),
                                 std::numeric_limits<Integer>::max()};
  for (unsigned bit = 0; bit + 1 < 8 * sizeof(Integer); ++bit) {
    for (int beside = -1; beside <= 1; ++beside) {
      values.push_back(static_cast<Integer>((Integer{1} << bit) + beside));
      values.push_back(static_cast<Integer>(-(Integer{1} << bit) + beside));
    }
  }
  std::mt19937 random(1);
  for (std::size_t i = 0; i < more; ++i) {
    const auto any = static_cast<Integer>(random());
    values.push_back(static_cast<Integer>(any >> random() % (8 * sizeof(Integer))));
  }
  return values;
}

TEST(Integers, ValuesOfEveryMagnitudeComeBack) {
  for (const std::size_t more : {0U, 1U, 500U, 70000U}) {
    expect_back(magnitudes<std::int32_t>(more));
    expect_back(magnitudes<std::int16_t>(more));
  }
  expect_back(std::vector<std::int32_t>());
  expect_back(std::vector<std::int16_t>(1000, -3));
}

TEST(Integers, ContextsAreThoseOfTheColumns) {
  const test::Codes contexts = test::draw_contexts(300, 16, 1);
  std::mt19937 random(2);
  std::normal_distribution<double> normal;
  std::vector<std::int32_t> values(60000);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<std::int32_t>(normal(random) * (1 << contexts[i % 300]));
  }
  expect_back(values, {contexts});
  CodecMemory memory;
  EXPECT_LT(encoded(values, {contexts}, memory).size() * 10,
            encoded(values, {}, memory).size() * 9);
}

// A few weights far out may not make the many dear.
TEST(Integers, RareLargeValuesCostTheirBitsAndNoMore) {
  CodecMemory memory;
  std::mt19937 random(3);
  std::normal_distribution<double> normal(0, 2);
  std::vector<std::int32_t> values(1U << 16);
  for (std::int32_t& value : values) value = static_cast<std::int32_t>(normal(random));
  const std::size_t without = encoded(values, {}, memory).size();
  for (std::size_t i = 0; i < values.size(); i += 1024) values[i] = 1'000'000;
  EXPECT_LT(encoded(values, {}, memory).size(), without + 64 * 5);
}

TEST(Integers, DamageIsRefused) {
  CodecMemory memory;
  const auto values = magnitudes<std::int16_t>(1000);
  const Buffer good = encoded(values, {}, memory);
  std::vector<std::int16_t> out(values.size());
  for (std::size_t bytes = 0; bytes < good.size(); ++bytes) {
    const Buffer page(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(bytes));
    const auto result = decode_integers(page, {}, memory, std::span(out));
    ASSERT_FALSE(result) << bytes;
    EXPECT_EQ(result.error().code, Errc::kCorrupt);
  }
  const auto wide = magnitudes<std::int32_t>(1000);
  std::vector<std::int16_t> narrow(wide.size());
  EXPECT_FALSE(decode_integers(encoded(wide, {}, memory), {}, memory, std::span(narrow)));
}

}  // namespace
}  // namespace skein
