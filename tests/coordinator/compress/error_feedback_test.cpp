#include "coordinator/compress/internal/error_feedback.h"

#include <gtest/gtest.h>

#include "tests/support/stored_matrix.h"

namespace skein {
namespace {

using test::random_floats;

constexpr Format kFormats[] = {Format::kQ8, Format::kQ6, Format::kQ5, Format::kQ4};

// Of `rows` inputs that go together: each a mixture of a few sources, channels of unlike size.
InputStatistics correlated(std::uint32_t width, std::uint32_t rows, std::uint64_t seed) {
  const std::uint32_t sources = width / 4;
  const std::vector<float> mixing = random_floats(std::size_t{width} * sources, seed);
  const std::vector<float> source = random_floats(std::size_t{rows} * sources, seed + 1);
  const std::vector<float> own = random_floats(std::size_t{rows} * width, seed + 2, 0.3F);
  std::vector<float> x(std::size_t{rows} * width);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < width; ++c) {
      float sum = own[r * width + c];
      for (std::size_t s = 0; s < sources; ++s) {
        sum += mixing[c * sources + s] * source[r * sources + s];
      }
      x[r * width + c] = sum * (c % 7 == 3 ? 5.0F : 1.0F);
    }
  }
  SerialParallel serial;
  StatisticsObserver observer(serial);
  observer.saw("w", x, width);
  return *observer.find("w");
}

InputStatistics alike(std::uint32_t width) {
  InputStatistics out;
  out.rows = 1;
  out.sum.setZero(width);
  out.gram.setIdentity(width, width);
  return out;
}

struct Case {
  bool neuron_major;
  std::uint32_t rows, cols;
};
constexpr Case kCases[] = {{false, 80, 96}, {false, 7, 64}, {true, 96, 160}, {true, 64, 32}};

StoredValues stored(const Case& shape, std::span<const float> values) {
  return {.layout = shape.neuron_major ? Layout::kRows : Layout::kTiles,
          .rows = shape.rows,
          .cols = shape.cols,
          .neuron_major = shape.neuron_major,
          .values = values};
}

Buffer encoded(const ErrorFeedback& feedback, const StoredValues& matrix, Format format,
               Parallel& parallel) {
  Buffer out(stored_bytes(format, matrix.layout, matrix.rows, matrix.cols));
  feedback.encode(matrix, format, parallel, out);
  return out;
}

Buffer nearest(const StoredValues& matrix, Format format) {
  Buffer out(stored_bytes(format, matrix.layout, matrix.rows, matrix.cols));
  encode(format, matrix.layout, matrix.rows, matrix.cols, matrix.values, out);
  return out;
}

std::vector<float> decoded(const StoredValues& matrix, Format format, ByteView bytes) {
  std::vector<float> out(matrix.values.size());
  decode(format, matrix.layout, matrix.rows, matrix.cols, bytes, out);
  return out;
}

// Nothing can be made good where inputs have nothing to do with each other.
TEST(ErrorFeedback, IsRoundingToTheNearestWhereInputsAreUnrelatedAndAlike) {
  SerialParallel serial;
  for (const Case& shape : kCases) {
    const auto values = random_floats(std::size_t{shape.rows} * shape.cols, 3, 0.1F);
    const StoredValues matrix = stored(shape, values);
    const auto feedback = ErrorFeedback::prepare(alike(matrix.inputs()), shape.neuron_major, 0.01);
    ASSERT_TRUE(feedback);
    for (const Format format : kFormats) {
      EXPECT_EQ(encoded(*feedback, matrix, format, serial), nearest(matrix, format))
          << name_of(format) << " " << shape.rows << " x " << shape.cols;
    }
  }
}

TEST(ErrorFeedback, LeavesLessOutputErrorThanTheNearest) {
  SerialParallel serial;
  for (const Case& shape : kCases) {
    const auto values = random_floats(std::size_t{shape.rows} * shape.cols, 5, 0.1F);
    const StoredValues matrix = stored(shape, values);
    const InputStatistics inputs = correlated(matrix.inputs(), 400, 7);
    const auto feedback = ErrorFeedback::prepare(inputs, shape.neuron_major, 0.01);
    ASSERT_TRUE(feedback);
    for (const Format format : kFormats) {
      const auto error = [&](const Buffer& bytes) {
        return feedback->power(matrix, decoded(matrix, format, bytes), values, serial);
      };
      EXPECT_LT(error(encoded(*feedback, matrix, format, serial)),
                0.7 * error(nearest(matrix, format)))
          << name_of(format) << " " << shape.rows << " x " << shape.cols;
    }
  }
}

TEST(ErrorFeedback, PowerIsTheMeanSquareOfTheOutputs) {
  SerialParallel serial;
  for (const Case& shape : kCases) {
    const auto a = random_floats(std::size_t{shape.rows} * shape.cols, 11);
    const auto b = random_floats(a.size(), 12);
    const StoredValues matrix = stored(shape, a);
    const InputStatistics inputs = correlated(matrix.inputs(), 300, 13);
    const double damping = 0.01;
    const auto feedback = ErrorFeedback::prepare(inputs, shape.neuron_major, damping);
    ASSERT_TRUE(feedback);
    const std::uint32_t n = matrix.inputs();
    const auto at = [&](std::uint32_t output, std::uint32_t input) {
      const std::size_t place = shape.neuron_major ? std::size_t{input} * shape.cols + output
                                                   : std::size_t{output} * shape.cols + input;
      return static_cast<double>(a[place]) - b[place];
    };
    const double mean = inputs.gram.diagonal().cast<double>().mean() / 300;
    double expected = 0;
    for (std::uint32_t o = 0; o < matrix.outputs(); ++o) {
      for (std::uint32_t i = 0; i < n; ++i) {
        for (std::uint32_t j = 0; j < n; ++j) {
          const double h = static_cast<double>(inputs.gram(std::max(i, j), std::min(i, j))) / 300;
          expected += at(o, i) * (h + (i == j ? damping * mean : 0)) * at(o, j);
        }
      }
    }
    EXPECT_NEAR(feedback->power(matrix, a, b, serial) / expected, 1, 1e-3);
  }
}

TEST(ErrorFeedback, GivesTheSameBytesInAnyOrderOfTasks) {
  SerialParallel serial;
  test::ShuffledParallel shuffled;
  const Case shape{false, 200, 96};
  const auto values = random_floats(std::size_t{shape.rows} * shape.cols, 21);
  const StoredValues matrix = stored(shape, values);
  const auto feedback = ErrorFeedback::prepare(correlated(96, 200, 22), false, 0.01);
  ASSERT_TRUE(feedback);
  EXPECT_EQ(encoded(*feedback, matrix, Format::kQ4, serial),
            encoded(*feedback, matrix, Format::kQ4, shuffled));
}

// Fewer inputs than channels, and channels that are never anything but zero.
TEST(ErrorFeedback, TakesInputsThatDoNotSpanTheirSpace) {
  SerialParallel serial;
  InputStatistics inputs = correlated(64, 5, 31);
  inputs.gram.row(9).setZero();
  inputs.gram.col(9).setZero();
  const auto feedback = ErrorFeedback::prepare(inputs, false, 0.01);
  ASSERT_TRUE(feedback);
  const auto values = random_floats(std::size_t{16} * 64, 32);
  const StoredValues matrix = stored({false, 16, 64}, values);
  for (const float value :
       decoded(matrix, Format::kQ4, encoded(*feedback, matrix, Format::kQ4, serial))) {
    EXPECT_TRUE(std::isfinite(value));
  }
}

TEST(InputStatistics, SumsWhatItSawInAnyPieces) {
  SerialParallel serial;
  test::ShuffledParallel shuffled;
  const std::uint32_t width = 200;
  const std::vector<float> x = random_floats(std::size_t{width} * 70, 41);
  StatisticsObserver whole(serial);
  StatisticsObserver pieces(shuffled);
  whole.saw("w", x, width);
  pieces.saw("w", std::span(x).first(std::size_t{width} * 64), width);
  pieces.saw("other", std::span(x).first(width), width);
  pieces.saw("w", std::span(x).subspan(std::size_t{width} * 64), width);
  EXPECT_EQ(whole.find("nothing"), nullptr);
  const InputStatistics& a = *whole.find("w");
  const InputStatistics& b = *pieces.find("w");
  EXPECT_EQ(a.rows, 70U);
  EXPECT_EQ(b.rows, 70U);
  for (std::uint32_t i = 0; i < width; i += 17) {
    for (std::uint32_t j = 0; j <= i; j += 13) {
      double sum = 0;
      for (std::size_t r = 0; r < 70; ++r) {
        sum += static_cast<double>(x[r * width + i]) * x[r * width + j];
      }
      EXPECT_NEAR(a.gram(i, j), sum, 1e-3);
      EXPECT_NEAR(b.gram(i, j), sum, 1e-3);
    }
    double mean = 0;
    for (std::size_t r = 0; r < 70; ++r) mean += static_cast<double>(x[r * width + i]) / 70;
    EXPECT_NEAR(a.mean(i), mean, 1e-5);
  }
}

TEST(InputStatistics, NamesTheMatrixWhoseInputsAreNoNumbers) {
  SerialParallel serial;
  StatisticsObserver observer(serial);
  std::vector<float> x(64, 1.0F);
  observer.saw("blocks.0.att.key.weight", x, 32);
  EXPECT_TRUE(observer.check_finite());
  x[40] = std::numeric_limits<float>::infinity();
  observer.saw("blocks.1.att.key.weight", x, 32);
  const auto refused = observer.check_finite();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().where, "blocks.1.att.key.weight");
}

}  // namespace
}  // namespace skein
