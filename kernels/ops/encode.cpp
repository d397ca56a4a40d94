// Floats to stored bytes and back, and the rearrangement between row-major and tiles.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "common/base/check.h"
#include "kernels/ops/format.h"
#include "kernels/ops/internal/packed.h"

namespace skein {
namespace {

constexpr std::uint32_t kTileGroupBytes = kTileRows * (kGroup + 2);

std::size_t groups_of(std::size_t cols) { return (cols + kGroup - 1) / kGroup; }

template <class Element>
void store(std::byte* at, Element element) {
  std::memcpy(at, &element, sizeof element);
}
template <class Element>
Element load(const std::byte* at) {
  Element element;
  std::memcpy(&element, at, sizeof element);
  return element;
}

struct Float32 {
  using Element = float;
  static Element narrow(float value) { return value; }
  static float widen(Element element) { return element; }
};
struct Bfloat16 {
  using Element = std::uint16_t;
  static Element narrow(float value) { return narrow_bf16(value); }
  static float widen(Element element) { return widen_bf16(element); }
};
struct Float16 {
  using Element = std::uint16_t;
  static Element narrow(float value) { return narrow_f16(value); }
  static float widen(Element element) { return widen_f16(element); }
};

// Where element (row, col) of a row-major or tiled matrix of plain elements lies.
std::size_t element_at(Layout layout, std::size_t cols, std::size_t row, std::size_t col) {
  if (layout == Layout::kRows) return row * cols + col;
  return (row / kTileRows * cols + col) * kTileRows + row % kTileRows;
}

template <class Kind>
void encode_plain(Layout layout, std::uint32_t rows, std::uint32_t cols,
                  std::span<const float> values, MutableByteView out) {
  using Element = typename Kind::Element;
  if (layout == Layout::kTiles && rows % kTileRows != 0) {
    const std::size_t whole = std::size_t{rows} / kTileRows * kTileRows * cols * sizeof(Element);
    std::ranges::fill(out.subspan(whole), std::byte{0});
  }
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t col = 0; col < cols; ++col) {
      store(out.data() + element_at(layout, cols, row, col) * sizeof(Element),
            Kind::narrow(values[row * cols + col]));
    }
  }
}

template <class Kind>
void decode_plain(Layout layout, std::uint32_t rows, std::uint32_t cols, ByteView stored,
                  std::span<float> values) {
  using Element = typename Kind::Element;
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t col = 0; col < cols; ++col) {
      const std::byte* at = stored.data() + element_at(layout, cols, row, col) * sizeof(Element);
      values[row * cols + col] = Kind::widen(load<Element>(at));
    }
  }
}

struct Group {
  std::uint16_t scale_bits = 0;
  std::int8_t codes[kGroup] = {};
};

// `values`: up to kGroup weights. A scale beyond f16 saturates; a NaN weight becomes 0.
Group quantize_group(std::span<const float> values) {
  float largest = 0;
  for (const float value : values) {
    if (std::fabs(value) > largest) largest = std::fabs(value);
  }
  Group group;
  group.scale_bits = std::min<std::uint16_t>(narrow_f16(largest / 127.0F), 0x7BFF);
  const float scale = widen_f16(group.scale_bits);
  if (scale == 0) return group;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float ratio = values[i] / scale;
    const float clamped = ratio > 127.0F ? 127.0F : ratio < -127.0F ? -127.0F : ratio;
    // Adding 1.5 * 2^23 leaves the integer, rounded to nearest even, in the low bits.
    const auto bits = std::bit_cast<std::int32_t>(clamped + 12582912.0F);
    const auto code = static_cast<std::int8_t>(bits - 0x4B400000);
    group.codes[i] = values[i] == values[i] ? code : std::int8_t{0};
  }
  return group;
}

// Code (row, col) of a q8 matrix, and the scale of its group.
struct Q8Place {
  std::size_t code;
  std::size_t scale;
};
Q8Place q8_place(Layout layout, std::size_t cols, std::size_t row, std::size_t col) {
  const std::size_t groups = groups_of(cols);
  const std::size_t group = col / kGroup;
  const std::size_t inside = col % kGroup;
  if (layout == Layout::kRows) {
    const std::size_t start = row * groups * (kGroup + 2);
    return {start + col, start + groups * kGroup + group * 2};
  }
  const std::size_t start = (row / kTileRows * groups + group) * kTileGroupBytes;
  const std::size_t lane = row % kTileRows;
  return {start + std::size_t{kTileRows} * 2 + inside / 4 * 64 + lane * 4 + inside % 4,
          start + lane * 2};
}

void encode_q8(Layout layout, std::uint32_t rows, std::uint32_t cols, std::span<const float> values,
               MutableByteView out) {
  std::ranges::fill(out, std::byte{0});
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t first = 0; first < cols; first += kGroup) {
      const std::size_t count = std::min<std::size_t>(kGroup, cols - first);
      const Group group = quantize_group(values.subspan(row * cols + first, count));
      store(out.data() + q8_place(layout, cols, row, first).scale, group.scale_bits);
      for (std::size_t i = 0; i < count; ++i) {
        store(out.data() + q8_place(layout, cols, row, first + i).code, group.codes[i]);
      }
    }
  }
}

void decode_q8(Layout layout, std::uint32_t rows, std::uint32_t cols, ByteView stored,
               std::span<float> values) {
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t first = 0; first < cols; first += kGroup) {
      const std::size_t scale_at = q8_place(layout, cols, row, first).scale;
      const float scale = widen_f16(load<std::uint16_t>(stored.data() + scale_at));
      const std::size_t last = std::min<std::size_t>(cols, first + kGroup);
      for (std::size_t col = first; col < last; ++col) {
        const std::size_t at = q8_place(layout, cols, row, col).code;
        values[row * cols + col] =
            static_cast<float>(load<std::int8_t>(stored.data() + at)) * scale;
      }
    }
  }
}

template <class Element>
void tile_plain(std::uint32_t rows, std::uint32_t cols, ByteView row_major, MutableByteView tiles) {
  std::ranges::fill(tiles, std::byte{0});
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t col = 0; col < cols; ++col) {
      const std::size_t to = element_at(Layout::kTiles, cols, row, col) * sizeof(Element);
      std::memcpy(tiles.data() + to, row_major.data() + (row * cols + col) * sizeof(Element),
                  sizeof(Element));
    }
  }
}

template <class Element>
void untile_plain(std::uint32_t rows, std::uint32_t cols, ByteView tiles,
                  MutableByteView row_major) {
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t col = 0; col < cols; ++col) {
      const std::size_t from = element_at(Layout::kTiles, cols, row, col) * sizeof(Element);
      std::memcpy(row_major.data() + (row * cols + col) * sizeof(Element), tiles.data() + from,
                  sizeof(Element));
    }
  }
}

std::size_t tiled_bytes(std::uint32_t element_bytes, std::uint32_t rows, std::uint32_t cols) {
  CHECK(element_bytes == 2 || element_bytes == 4);
  return stored_bytes(element_bytes == 4 ? Format::kF32 : Format::kF16, Layout::kTiles, rows, cols);
}

}  // namespace

void encode(Format format, Layout layout, std::uint32_t rows, std::uint32_t cols,
            std::span<const float> values, MutableByteView out) {
  CHECK(values.size() == std::uint64_t{rows} * cols);
  CHECK(out.size() == stored_bytes(format, layout, rows, cols));
  switch (format) {
    case Format::kF32:
      return encode_plain<Float32>(layout, rows, cols, values, out);
    case Format::kBf16:
      return encode_plain<Bfloat16>(layout, rows, cols, values, out);
    case Format::kF16:
      return encode_plain<Float16>(layout, rows, cols, values, out);
    case Format::kQ8:
      return encode_q8(layout, rows, cols, values, out);
    case Format::kQ6:
    case Format::kQ5:
    case Format::kQ4:
      return encode_packed({packed_bits(format), layout, rows, cols}, values, out);
  }
}

void decode(Format format, Layout layout, std::uint32_t rows, std::uint32_t cols, ByteView stored,
            std::span<float> values) {
  CHECK(values.size() == std::uint64_t{rows} * cols);
  CHECK(stored.size() == stored_bytes(format, layout, rows, cols));
  switch (format) {
    case Format::kF32:
      return decode_plain<Float32>(layout, rows, cols, stored, values);
    case Format::kBf16:
      return decode_plain<Bfloat16>(layout, rows, cols, stored, values);
    case Format::kF16:
      return decode_plain<Float16>(layout, rows, cols, stored, values);
    case Format::kQ8:
      return decode_q8(layout, rows, cols, stored, values);
    case Format::kQ6:
    case Format::kQ5:
    case Format::kQ4:
      return decode_packed({packed_bits(format), layout, rows, cols}, stored, values);
  }
}

void place_q8(Layout layout, std::uint32_t rows, std::uint32_t cols,
              std::span<const std::int8_t> codes, std::span<const std::uint16_t> scales,
              MutableByteView out) {
  CHECK(cols % kGroup == 0 && codes.size() == std::uint64_t{rows} * cols);
  CHECK(scales.size() * kGroup == codes.size());
  CHECK(out.size() == stored_bytes(Format::kQ8, layout, rows, cols));
  std::ranges::fill(out, std::byte{0});
  const std::size_t step = layout == Layout::kRows ? 4 : std::size_t{kTileRows} * 4;  // of a quad
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t col = 0; col < cols; col += kGroup) {
      const Q8Place place = q8_place(layout, cols, row, col);
      const std::size_t at = row * cols + col;
      store(out.data() + place.scale, scales[at / kGroup]);
      for (std::size_t quad = 0; quad < kGroup / 4; ++quad) {
        std::memcpy(out.data() + place.code + quad * step, codes.data() + at + quad * 4, 4);
      }
    }
  }
}

void tile_elements(std::uint32_t element_bytes, std::uint32_t rows, std::uint32_t cols,
                   ByteView row_major, MutableByteView tiles) {
  CHECK(tiles.size() == tiled_bytes(element_bytes, rows, cols));
  CHECK(row_major.size() == std::uint64_t{rows} * cols * element_bytes);
  if (element_bytes == 4) return tile_plain<std::uint32_t>(rows, cols, row_major, tiles);
  tile_plain<std::uint16_t>(rows, cols, row_major, tiles);
}

void untile_elements(std::uint32_t element_bytes, std::uint32_t rows, std::uint32_t cols,
                     ByteView tiles, MutableByteView row_major) {
  CHECK(tiles.size() == tiled_bytes(element_bytes, rows, cols));
  CHECK(row_major.size() == std::uint64_t{rows} * cols * element_bytes);
  if (element_bytes == 4) return untile_plain<std::uint32_t>(rows, cols, tiles, row_major);
  untile_plain<std::uint16_t>(rows, cols, tiles, row_major);
}

}  // namespace skein
