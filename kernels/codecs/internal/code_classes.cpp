#include "kernels/codecs/internal/code_classes.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "kernels/codecs/internal/frequencies.h"

namespace skein {
namespace {

constexpr std::size_t kZeroPoints = 128;
constexpr std::size_t kQuadCodes = kTileRows * 4;
constexpr std::size_t kTileGroupCodes = kTileRows * kGroup;
constexpr std::size_t kMostColumns = 1U << 16;
// What a code costs in a table, about, and the share of the codes that contexts have to save:
// decoding takes half as long again with them.
constexpr double kTableBits = 9;
constexpr double kClassBits = 4;
constexpr double kLeastGain = 1.0 / 128;

bool has_tiles(const QuantizedShape& shape) { return shape.layout == Layout::kTiles; }

// Ranks of equal shares; equal values have one class.
void classes_by_rank(std::span<const std::uint64_t> values, std::vector<std::uint8_t>& classes) {
  std::vector<std::uint64_t> sorted(values.begin(), values.end());
  std::ranges::sort(sorted);
  classes.resize(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto below = std::ranges::lower_bound(sorted, values[i]) - sorted.begin();
    classes[i] =
        static_cast<std::uint8_t>(static_cast<std::size_t>(below) * kMaxContexts / values.size());
  }
}

// Zero points in order, cut so that each class has about as many groups.
void classes_of_zeros(std::span<const std::uint16_t> heads, std::vector<std::uint8_t>& classes) {
  std::array<std::size_t, kZeroPoints> counts{};
  for (const std::uint16_t head : heads) ++counts[head % kZeroPoints];
  classes.resize(kZeroPoints);
  std::size_t below = 0;
  for (std::size_t zero = 0; zero < kZeroPoints; ++zero) {
    classes[zero] = static_cast<std::uint8_t>(
        std::min(below * kMaxContexts / heads.size(), std::size_t{kMaxContexts - 1}));
    below += counts[zero];
  }
}

// How far the codes of each row and column lie from the middle of all, squared.
struct Spreads {
  std::vector<std::uint64_t> rows;
  std::vector<std::uint64_t> columns;
};
Spreads spreads_of(const QuantizedShape& shape, std::span<const std::uint8_t> codes) {
  // q8's codes are signed bytes; as unsigned ones they are in order after 128 is added.
  const unsigned turn = shape.format == Format::kQ8 ? 128 : 0;
  std::uint64_t sum = 0;
  for (const std::uint8_t code : codes) sum += code ^ turn;
  const auto middle = static_cast<std::int64_t>(sum / codes.size());
  Spreads spreads = {std::vector<std::uint64_t>(shape.stored_rows()),
                     std::vector<std::uint64_t>(shape.groups() * kGroup)};
  const auto add = [&](std::size_t row, std::size_t column, std::uint8_t code) {
    const std::int64_t from = static_cast<std::int64_t>(code ^ turn) - middle;
    spreads.rows[row] += static_cast<std::uint64_t>(from * from);
    spreads.columns[column] += static_cast<std::uint64_t>(from * from);
  };
  const std::size_t columns = spreads.columns.size();
  if (!has_tiles(shape)) {
    for (std::size_t i = 0; i < codes.size(); ++i) add(i / columns, i % columns, codes[i]);
    return spreads;
  }
  for (std::size_t quad = 0; quad < codes.size() / kQuadCodes; ++quad) {
    const std::size_t row = quad * 4 / columns * kTileRows;
    const std::size_t column = quad * 4 % columns;
    for (std::size_t i = 0; i < kQuadCodes; ++i) {
      add(row + i / 4, column + i % 4, codes[quad * kQuadCodes + i]);
    }
  }
  return spreads;
}

// Bits of all codes and of the tables. No contexts: there is one.
double cost_of(std::span<const std::uint8_t> codes, std::span<const std::uint8_t> contexts) {
  std::array<Counts, kMaxContexts> of_contexts{};
  for (std::size_t i = 0; i < codes.size(); ++i) {
    ++of_contexts[contexts.empty() ? 0 : contexts[i]][codes[i]];
  }
  double bits = 0;
  for (const Counts& counts : of_contexts) {
    const auto used = std::ranges::count_if(counts, [](std::uint32_t count) { return count > 0; });
    if (used == 0) continue;
    bits += cost_in_bits(counts, scaled(counts, kMaxTableBits), kMaxTableBits) +
            kTableBits * static_cast<double>(used);
  }
  return bits;
}

void spread_quads(const QuantizedShape& shape, std::span<std::uint8_t> contexts,
                  auto class_of_head) {
  if (!has_tiles(shape)) {
    for (std::size_t head = 0; head < contexts.size() / kGroup; ++head) {
      std::memset(contexts.data() + head * kGroup, class_of_head(head), kGroup);
    }
    return;
  }
  for (std::size_t group = 0; group < contexts.size() / kTileGroupCodes; ++group) {
    std::uint8_t quad[kQuadCodes];
    for (std::size_t row = 0; row < kTileRows; ++row) {
      std::memset(quad + row * 4, class_of_head(group * kTileRows + row), 4);
    }
    for (std::size_t q = 0; q < kGroup / 4; ++q) {
      std::memcpy(contexts.data() + group * kTileGroupCodes + q * kQuadCodes, quad, kQuadCodes);
    }
  }
}

// One row of contexts, or one tile's, is that of all.
void spread_columns(const QuantizedShape& shape, std::span<const std::uint8_t> classes,
                    std::span<std::uint8_t> contexts) {
  const std::size_t width = classes.size() * (has_tiles(shape) ? kTileRows : 1);
  if (!has_tiles(shape)) {
    std::ranges::copy(classes, contexts.begin());
  } else {
    for (std::size_t four = 0; four < classes.size() / 4; ++four) {
      for (std::size_t row = 0; row < kTileRows; ++row) {
        std::memcpy(contexts.data() + four * kQuadCodes + row * 4, classes.data() + four * 4, 4);
      }
    }
  }
  for (std::size_t at = width; at < contexts.size(); at += width) {
    std::memcpy(contexts.data() + at, contexts.data(), width);
  }
}

}  // namespace

std::optional<std::size_t> count_classes(const QuantizedShape& shape, ClassesOf of) {
  const std::size_t columns = shape.groups() * kGroup;
  switch (of) {
    case ClassesOf::kNothing:
      return 0;
    case ClassesOf::kZeros:
      if (shape.format == Format::kQ8) return std::nullopt;
      return kZeroPoints;
    case ClassesOf::kRows:
      return shape.stored_rows();
    case ClassesOf::kColumns:
      if (columns > kMostColumns) return std::nullopt;
      return columns;
  }
  return std::nullopt;
}

ClassesOf choose_classes(const QuantizedShape& shape, std::span<const std::uint8_t> codes,
                         std::span<const std::uint16_t> heads, std::vector<std::uint8_t>& classes) {
  double best = cost_of(codes, {}) * (1 - kLeastGain);
  ClassesOf chosen = ClassesOf::kNothing;
  const Spreads spreads = spreads_of(shape, codes);
  std::vector<std::uint8_t> tried;
  std::vector<std::uint8_t> contexts(codes.size());
  for (const ClassesOf of : {ClassesOf::kZeros, ClassesOf::kRows, ClassesOf::kColumns}) {
    if (!count_classes(shape, of)) continue;
    if (of == ClassesOf::kZeros) classes_of_zeros(heads, tried);
    if (of == ClassesOf::kRows) classes_by_rank(spreads.rows, tried);
    if (of == ClassesOf::kColumns) classes_by_rank(spreads.columns, tried);
    spread_classes(shape, of, tried, heads, contexts);
    const double cost = cost_of(codes, contexts) + kClassBits * static_cast<double>(tried.size());
    if (cost >= best) continue;
    best = cost;
    chosen = of;
    classes = tried;
  }
  return chosen;
}

void spread_classes(const QuantizedShape& shape, ClassesOf of,
                    std::span<const std::uint8_t> classes, std::span<const std::uint16_t> heads,
                    std::span<std::uint8_t> contexts) {
  if (of == ClassesOf::kColumns) return spread_columns(shape, classes, contexts);
  if (of == ClassesOf::kZeros) {
    spread_quads(shape, contexts,
                 [&](std::size_t head) { return classes[heads[head] % kZeroPoints]; });
    return;
  }
  const std::size_t groups = shape.groups();
  const bool tiles = has_tiles(shape);
  spread_quads(shape, contexts, [&](std::size_t head) {
    return tiles ? classes[head / kTileRows / groups * kTileRows + head % kTileRows]
                 : classes[head / groups];
  });
}

}  // namespace skein
