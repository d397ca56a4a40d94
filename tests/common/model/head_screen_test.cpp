// Screening the head, on random models with whatever sketch: a logit that is asked for is never
// left out, and is the dense head's bit for bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/model/model.h"
#include "common/model/weights.h"
#include "tests/support/memory_pages.h"

namespace skein {
namespace {

constexpr std::uint32_t kWidth = 128;
constexpr std::uint32_t kVocab = 333;

ModelConfig config() {
  ModelConfig config = test::small_config();
  config.layers = 1;
  config.vocab = kVocab;
  return config;
}

// Rows as they are multiplied.
std::vector<float> values_of(test::MemoryPages& pages, const std::string& name) {
  const TensorEntry& tensor = pages.tensor(name);
  std::vector<float> values(std::size_t{tensor.rows} * tensor.cols);
  for (const Segment& segment : tensor.segments) {
    const ByteView page = *pages.page(PageIndex(segment.page));
    const auto bytes = stored_bytes(tensor.format, tensor.layout, segment.rows, tensor.cols);
    decode(tensor.format, tensor.layout, segment.rows, tensor.cols, page.first(bytes),
           std::span(values).subspan(std::size_t{segment.first_row} * tensor.cols,
                                     std::size_t{segment.rows} * tensor.cols));
  }
  return values;
}

// |B r|, |r| and max(|w|, |s|) in double.
void add_bounds(test::MemoryPages& pages, std::span<const float> rows, std::span<const float> basis,
                std::span<const float> sketch) {
  const std::size_t rank = basis.size() / kWidth;
  std::vector<float> inside(kVocab);
  std::vector<float> beyond(kVocab);
  std::vector<float> sizes(kVocab);
  const auto up = [](double value) {
    return std::nextafter(static_cast<float>(value), std::numeric_limits<float>::infinity());
  };
  for (std::size_t v = 0; v < kVocab; ++v) {
    std::vector<double> missed(kWidth);
    double row = 0;
    double told = 0;
    for (std::size_t i = 0; i < kWidth; ++i) {
      missed[i] = double{rows[v * kWidth + i]};
      row += missed[i] * missed[i];
      for (std::size_t j = 0; j < rank; ++j) {
        missed[i] -= double{sketch[v * rank + j]} * basis[j * kWidth + i];
      }
    }
    double in = 0;
    double out = 0;
    for (std::size_t j = 0; j < rank; ++j) {
      double along = 0;
      for (std::size_t i = 0; i < kWidth; ++i) along += missed[i] * basis[j * kWidth + i];
      in += along * along;
      told += double{sketch[v * rank + j]} * sketch[v * rank + j];
    }
    for (const double value : missed) out += value * value;
    inside[v] = up(std::sqrt(in));
    beyond[v] = up(std::sqrt(out));
    sizes[v] = up(std::sqrt(std::max(row, told)));
  }
  pages.add("head.screen.inside", {.cols = kVocab}, inside);
  pages.add("head.screen.beyond", {.cols = kVocab}, beyond);
  pages.add("head.screen.sizes", {.cols = kVocab}, sizes);
}

struct Form {
  Format head, sketch;
  std::uint32_t rank;
  bool orthonormal = true;
};

// A random head whose rows lie near few directions, many of them alike; and a screen for it.
test::MemoryPages screened(const Form& form, std::uint64_t seed) {
  test::MemoryPages pages = test::random_model(form.head, config(), seed);
  std::vector<float> rows = test::random_floats(std::size_t{kVocab} * kWidth, seed + 7, 0.1F);
  for (std::size_t v = 0; v < kVocab; ++v) {
    const std::size_t like = v % 5 == 0 ? v / 2 : v;  // equal rows: equal logits
    for (std::size_t i = 0; i < kWidth; ++i) rows[v * kWidth + i] = rows[like * kWidth + i];
  }
  pages.remove("head.weight");
  pages.add("head.weight", {form.head, Layout::kTiles, kVocab, kWidth}, rows);
  rows = values_of(pages, "head.weight");
  // The first directions are unit vectors, or any that are short enough.
  std::vector<float> basis = test::random_floats(form.rank * kWidth, seed + 3, 0.03F);
  if (form.orthonormal) {
    std::ranges::fill(basis, 0.0F);
    for (std::size_t j = 0; j < form.rank; ++j) basis[j * kWidth + (j * 3) % kWidth] = 1;
  }
  std::vector<float> sketch(std::size_t{kVocab} * form.rank);
  for (std::size_t v = 0; v < kVocab; ++v) {
    for (std::size_t j = 0; j < form.rank; ++j) {
      for (std::size_t i = 0; i < kWidth; ++i) {
        sketch[v * form.rank + j] += rows[v * kWidth + i] * basis[j * kWidth + i];
      }
    }
  }
  pages.add("head.screen.sketch", {form.sketch, Layout::kTiles, kVocab, form.rank}, sketch);
  sketch = values_of(pages, "head.screen.sketch");
  pages.add("head.screen.basis", {.rows = form.rank, .cols = kWidth}, basis);
  add_bounds(pages, rows, basis, sketch);
  return pages;
}

class HeadScreen : public testing::Test {
 protected:
  // Every token in turn, dense and screened.
  static void compare(test::MemoryPages& pages, std::uint32_t most, std::size_t& left_out) {
    const auto model = Model::open(pages);
    ASSERT_TRUE(model) << to_string(model.error());
    SerialParallel serial;
    Runner dense(**model, serial);
    Runner screened(**model, serial);
    RwkvState one((*model)->config());
    RwkvState other = one;
    std::vector<float> all(kVocab);
    std::vector<float> some(kVocab);
    for (TokenId id = 0; id < 25; ++id) {
      const Feed whole = {std::span(&id, 1), &one, all};
      const Feed part = {std::span(&id, 1), &other, some, most};
      ASSERT_TRUE(dense.feed(std::span(&whole, 1)));
      ASSERT_TRUE(screened.feed(std::span(&part, 1)));
      std::vector<float> sorted = all;
      std::ranges::sort(sorted, std::greater<>());
      for (std::size_t v = 0; v < kVocab; ++v) {
        if (all[v] >= sorted[most - 1]) ASSERT_EQ(some[v], all[v]) << "token " << v;
        if (std::isfinite(some[v])) {
          ASSERT_EQ(some[v], all[v]);
        } else {
          ++left_out;
        }
      }
    }
    EXPECT_EQ(screened.counters().head_bytes_total, dense.counters().head_bytes_total);
    EXPECT_EQ(dense.counters().head_bytes_read, dense.counters().head_bytes_total);
  }
};

TEST_F(HeadScreen, NeverLeavesOutWhatIsAskedForWhateverTheSketch) {
  std::uint64_t seed = 1;
  for (const Format head : {Format::kF32, Format::kBf16, Format::kQ8, Format::kQ5, Format::kQ4}) {
    for (const Format sketch : {Format::kF32, Format::kQ8, Format::kQ4}) {
      for (const bool orthonormal : {true, false}) {
        const Form form{head, sketch, 40, orthonormal};
        test::MemoryPages pages = screened(form, seed += 20);
        for (const std::uint32_t most : {1U, 7U, kVocab}) {
          std::size_t left_out = 0;
          compare(pages, most, left_out);
          if (HasFatalFailure()) FAIL() << name_of(head) << " " << name_of(sketch) << " " << most;
        }
      }
    }
  }
}

TEST_F(HeadScreen, AWholeBasisLeavesFewRows) {
  test::MemoryPages pages = screened({Format::kQ8, Format::kQ8, 128}, 5);
  std::size_t left_out = 0;
  compare(pages, 1, left_out);
  EXPECT_GT(left_out, 25 * kVocab / 2);
}

TEST_F(HeadScreen, WhoWantsAllLogitsGetsThemBesideWhoWantsFew) {
  test::MemoryPages pages = screened({Format::kQ8, Format::kQ8, 128}, 5);
  const auto model = Model::open(pages);
  ASSERT_TRUE(model) << to_string(model.error());
  SerialParallel serial;
  Runner runner(**model, serial);
  const RwkvState start((*model)->config());
  const TokenId ids[] = {3, 4};
  std::vector<float> alone(kVocab);
  RwkvState state = start;
  ASSERT_TRUE(runner.step(ids[1], state, alone));
  std::vector<float> few(kVocab);
  std::vector<float> all(kVocab);
  RwkvState one = start;
  RwkvState other = start;
  const Feed feeds[] = {{std::span(ids).first(1), &one, few, 1},
                        {std::span(ids).last(1), &other, all}};
  ASSERT_TRUE(runner.feed(feeds));
  EXPECT_EQ(all, alone);
}

TEST_F(HeadScreen, ABasisThatIsTooLongIsRefused) {
  test::MemoryPages pages = screened({Format::kF32, Format::kF32, 4}, 5);
  pages.remove("head.screen.basis");
  pages.add("head.screen.basis", {.rows = 4, .cols = kWidth}, std::vector<float>(4 * kWidth, 0.5F));
  const auto model = Model::open(pages);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, Errc::kCorrupt);
  EXPECT_EQ(model.error().where, "tensor head.screen.basis");
}

// An order and clusters by hand: what is not looked into has one logit, so that the clusters'
// probabilities are as their head says.
TEST(HierarchicalHead, UnknownTokensShareWhatTheirClusterHas) {
  test::MemoryPages pages = test::random_model(Format::kF32, config(), 3);
  std::vector<float> order(kVocab);
  for (std::uint32_t i = 0; i < kVocab; ++i) order[i] = static_cast<float>(i * 10 % kVocab);
  pages.add("head.order", {.cols = kVocab}, order);
  const std::vector<float> first = {0, 50, 133, kVocab};
  const std::vector<float> bias = {0.3F, -0.2F, 0.1F};
  pages.add("head.clusters.weight", {.rows = 3, .cols = kWidth},
            std::vector<float>(3 * kWidth, 0.0F));
  pages.add("head.clusters.bias", {.cols = 3}, bias);
  pages.add("head.clusters.first", {.cols = 4}, first);
  pages.add("head.clusters.rule", {.cols = 3}, std::vector<float>{0.1F, 1, 3});
  const auto model = Model::open(pages);
  ASSERT_TRUE(model) << to_string(model.error());
  SerialParallel serial;
  Runner runner(**model, serial);
  RwkvState state((*model)->config());
  std::vector<float> logits(kVocab);
  const TokenId id = 5;
  ASSERT_TRUE(runner.step(id, state, logits));
  double all = 0;
  std::vector<double> mass(3);
  for (std::size_t j = 0; j < 3; ++j) {
    const auto from = static_cast<std::uint32_t>(first[j]);
    for (std::uint32_t i = from; i < static_cast<std::uint32_t>(first[j + 1]); ++i) {
      const float logit = logits[static_cast<std::size_t>(order[i])];
      mass[j] += std::exp(double{logit});
      if (j != 0) EXPECT_EQ(logit, logits[static_cast<std::size_t>(order[from])]);
    }
    all += mass[j];
  }
  double weights = 0;
  for (const float each : bias) weights += std::exp(double{each});
  for (std::size_t j = 0; j < 3; ++j) {
    EXPECT_NEAR(mass[j] / all, std::exp(double{bias[j]}) / weights, 1e-5) << j;
  }
}

TEST(HierarchicalHead, ARuleOrClustersThatMakeNoSenseAreRefused) {
  const auto opened = [](std::vector<float> first, std::vector<float> rule) {
    test::MemoryPages pages = test::random_model(Format::kF32, config(), 3);
    pages.add("head.clusters.weight", {.rows = 2, .cols = kWidth},
              std::vector<float>(2 * kWidth, 0.0F));
    pages.add("head.clusters.bias", {.cols = 2}, std::vector<float>(2));
    pages.add("head.clusters.first", {.cols = 3}, first);
    pages.add("head.clusters.rule", {.cols = 3}, rule);
    return Model::open(pages).has_value();
  };
  EXPECT_TRUE(opened({0, 10, kVocab}, {0.5F, 1, 2}));
  EXPECT_FALSE(opened({0, 10, 300}, {0.5F, 1, 2}));
  EXPECT_FALSE(opened({0, 0, kVocab}, {0.5F, 1, 2}));
  EXPECT_FALSE(opened({0, 10.5F, kVocab}, {0.5F, 1, 2}));
  EXPECT_FALSE(opened({0, 10, kVocab}, {0, 1, 2}));
  EXPECT_FALSE(opened({0, 10, kVocab}, {0.5F, 2, 1}));
  EXPECT_FALSE(opened({0, 10, kVocab}, {0.5F, 1, 3}));
}

}  // namespace
}  // namespace skein
