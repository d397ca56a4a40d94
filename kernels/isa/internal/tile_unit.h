// What a unit that multiplies small matrices is told before it works (Intel AMX): which of its
// eight registers holds what, and their shapes. Included once per instruction set; see
// vector_kernels.h.
//
// A Unit has configure(shapes), zero<tile>(), load<tile>(at, stride), dot<sums, left, right>()
// (each signed byte times each, TDPBSSD), store<tile>(at, stride) and release(): the instructions
// of that name in amx.cpp, a model of them in tests/support/tile_model.h.
#pragma once

#include "kernels/isa/internal/lanes.h"

namespace skein {
namespace {

constexpr std::size_t kBlock = 16;  // inputs in one register of the unit
constexpr std::size_t kPair = 2 * kBlock;
constexpr std::size_t kStrip = 2 * kPair;  // inputs for which a group is unpacked once
constexpr std::size_t kRun = 2;            // groups between two visits to a sum
constexpr std::size_t kGroupCodes = 32;

// Registers: the dots of tile t and block b, block b's inputs, tile t's weights.
template <std::size_t tile, std::size_t block>
constexpr int kDotTile = 2 * tile + block;
template <std::size_t block>
constexpr int kInputTile = 4 + block;
template <std::size_t tile>
constexpr int kWeightTile = 6 + tile;

// The 64 bytes that tell the unit its registers' shapes (palette 1).
struct TileShapes {
  alignas(64) std::uint8_t palette = 1;
  std::uint8_t first_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};

  SKEIN_INLINE void set(int tile, std::size_t of_rows, std::size_t bytes) {
    rows[tile] = static_cast<std::uint8_t>(of_rows);
    row_bytes[tile] = static_cast<std::uint16_t>(bytes);
  }
};
static_assert(sizeof(TileShapes) == 64);

// How many of `count` inputs the next strip takes: whole pairs, or the rest. Only the last block of
// a rest is not full.
SKEIN_INLINE std::size_t strip_of(std::size_t count) {
  if (count >= kStrip) return kStrip;
  return count >= kPair ? kPair : count;
}

SKEIN_INLINE TileShapes shapes_for(std::size_t inputs) {
  const std::size_t first = inputs < kBlock ? inputs : kBlock;
  const std::size_t second = (inputs < kPair ? inputs : kPair) - first;
  TileShapes shapes;
  shapes.set(kWeightTile<0>, 8, 64);
  shapes.set(kWeightTile<1>, 8, 64);
  shapes.set(kInputTile<0>, first, kGroupCodes);
  shapes.set(kDotTile<0, 0>, first, 64);
  shapes.set(kDotTile<1, 0>, first, 64);
  if (second == 0) return shapes;
  shapes.set(kInputTile<1>, second, kGroupCodes);
  shapes.set(kDotTile<0, 1>, second, 64);
  shapes.set(kDotTile<1, 1>, second, 64);
  return shapes;
}

}  // namespace
}  // namespace skein
