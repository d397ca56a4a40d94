// Tiles of q8 to q4 times several inputs, on a unit that multiplies small matrices (Intel AMX). A
// group of a stored tile, 8 quads of (16 rows x 4 codes), is the unit's right operand as it lies in
// memory; the group's codes of up to 16 inputs are the left one. Their product is exact: 16 inputs
// x 16 rows of int32 dots, whose lanes are rows as everywhere else, and which join the sums group
// after group in the one order. q6 to q4 are first unpacked to int8 codes in the nearest cache.
//
// Two tiles by two blocks of 16 inputs are multiplied together, so every operand is loaded once for
// two products. The dots leave the unit through memory, and scaling them takes longer than making
// them: four vector operations for 16 dots. So the unit works on one run of groups while the vector
// registers scale the run before, a part of one after a part of the other, small enough for a
// processor to overlap. Included once per instruction set; see vector_kernels.h.
#pragma once

#include "kernels/isa/internal/quads.h"
#include "kernels/isa/internal/tile_unit.h"
#include "kernels/isa/kernel_table.h"
#include "kernels/ops/matmul.h"

namespace skein {
namespace {

// A group's int8 codes, quad after quad: where they lie, or unpacked into `room`.
template <unsigned bits>
SKEIN_INLINE const char* signed_codes(const char* group, char* room) {
  if constexpr (bits == 8) return group + kLanes * 2;
  U32 zeros = packed_zeros(__builtin_convertvector(load<U16>(group), U32));
  zeros |= zeros << 8;
  zeros |= zeros << 16;
#pragma clang loop unroll(full)
  for (std::size_t q = 0; q < 8; ++q) {
    const Bytes codes = packed_quad<bits>(group + kLanes * 2, q) << (7 - bits);
    store(room + q * 64, codes - as<Bytes>(zeros));
  }
  return room;
}

template <unsigned bits>
SKEIN_INLINE F32 group_scales(const char* group) {
  if constexpr (bits == 8) return __builtin_convertvector(load<F16>(group), F32);
  return packed_scales(__builtin_convertvector(load<U16>(group), U32));
}

// Sums of a strip's inputs, 16 rows of each of two tiles.
struct StripSums {
  alignas(64) float of[kStrip][2][kLanes];
};

// The dots of a run of groups for a pair of blocks, with what scales them and the sums they join.
struct RunDots {
  alignas(64) std::int32_t dots[2][2][kRun][kBlock][kLanes];  // tile, block, group, input, row
  F32 scales[2][kRun];                                        // tile, group
  const float* x_scales = nullptr;  // of the pair's first input and the run's first group
  float (*sums)[2][kLanes] = nullptr;
  std::size_t stride = 0;  // from one input's scales to the next one's
  std::size_t inputs = 0;
  std::size_t groups = 0;
  std::size_t parts = 0;  // a tile and a block each
};

template <std::size_t kGroups>
SKEIN_INLINE void scale_dots(const RunDots& run, std::size_t tile, std::size_t block) {
  const std::size_t first = block * kBlock;
  const std::size_t count = run.inputs - first < kBlock ? run.inputs - first : kBlock;
  const std::size_t stride = run.stride;
  const float* x_scales = run.x_scales + first * stride;
  const auto* const dots = run.dots[tile][block];
  auto* const sums = run.sums + first;
  F32 scales[kGroups];
  for (std::size_t group = 0; group < kGroups; ++group) scales[group] = run.scales[tile][group];
  for (std::size_t i = 0; i < count; ++i, x_scales += stride) {
    F32 sum = load<F32>(sums[i][tile]);
#pragma clang loop unroll(full)
    for (std::size_t group = 0; group < kGroups; ++group) {
      const F32 exact = __builtin_convertvector(load<I32>(dots[group][i]), F32);
      sum += exact * (scales[group] * x_scales[group]);
    }
    store(sums[i][tile], sum);
  }
}

SKEIN_INLINE void scale_part(const RunDots& run, std::size_t part) {
  const std::size_t blocks = run.inputs > kBlock ? 2 : 1;
  const std::size_t tile = part / blocks;
  const std::size_t block = part % blocks;
  if (run.groups == kRun) {
    scale_dots<kRun>(run, tile, block);
  } else {
    scale_dots<1>(run, tile, block);
  }
}

// kTiles tiles, one after another from `tiles` on, times a strip of inputs.
template <class Unit, unsigned bits, std::size_t kTiles>
class TilesByStrip {
 public:
  SKEIN_INLINE TilesByStrip(Unit& unit, const char* tiles, const Inputs& x, std::size_t first,
                            std::size_t count)
      : unit_(unit),
        tiles_(tiles),
        groups_((x.cols + std::size_t{31}) / 32),
        count_(count),
        codes_(x.codes + first * groups_ * kGroupCodes),
        x_scales_(x.scales + first * groups_) {}

  SKEIN_INLINE void multiply(float* y, std::size_t y_stride) {
    StripSums sums;
    for (std::size_t i = 0; i < count_; ++i) {
      for (std::size_t tile = 0; tile < kTiles; ++tile) store(sums.of[i][tile], F32{});
    }
    RunDots runs[2];
    std::size_t turn = 0;
    for (std::size_t group = 0; group < groups_; group += kRun) {
      for (std::size_t first = 0; first < count_; first += kPair) {
        RunDots& next = runs[turn];
        next.inputs = count_ - first < kPair ? count_ - first : kPair;
        next.groups = groups_ - group < kRun ? 1 : kRun;
        next.x_scales = x_scales_ + first * groups_ + group;
        next.stride = groups_;
        next.sums = sums.of + first;
        if (first == 0) unpack(group, next.groups);
        make_dots(next, group, first, runs[1 - turn]);
        turn = 1 - turn;
      }
    }
    const RunDots& last = runs[1 - turn];
    for (std::size_t part = 0; part < last.parts; ++part) scale_part(last, part);
    for (std::size_t i = 0; i < count_; ++i) {
      for (std::size_t tile = 0; tile < kTiles; ++tile) {
        store(y + i * y_stride + tile * kLanes, load<F32>(sums.of[i][tile]));
      }
    }
  }

 private:
  SKEIN_INLINE void unpack(std::size_t first, std::size_t groups) {
    for (std::size_t tile = 0; tile < kTiles; ++tile) {
      for (std::size_t g = 0; g < groups; ++g) {
        const char* const at = tiles_ + (tile * groups_ + first + g) * kGroupBytes<bits>;
        weights_[tile][g] = signed_codes<bits>(at, room_[tile][g]);
        scales_[tile][g] = group_scales<bits>(at);
      }
    }
  }

  // The unit fills `next` while `before` is scaled.
  SKEIN_INLINE void make_dots(RunDots& next, std::size_t group, std::size_t first,
                              const RunDots& before) {
    const std::int8_t* const codes = codes_ + (first * groups_ + group) * kGroupCodes;
    std::size_t part = 0;
    for (std::size_t g = 0; g < next.groups; ++g) {
      for (std::size_t tile = 0; tile < kTiles; ++tile) next.scales[tile][g] = scales_[tile][g];
      multiply_block<0>(next, g, codes + g * kGroupCodes);
      if (part < before.parts) scale_part(before, part++);
      if (next.inputs <= kBlock) continue;
      multiply_block<1>(next, g, codes + (kBlock * groups_ + g) * kGroupCodes);
      if (part < before.parts) scale_part(before, part++);
    }
    while (part < before.parts) scale_part(before, part++);
    next.parts = kTiles * (next.inputs > kBlock ? 2 : 1);
  }

  template <std::size_t block>
  SKEIN_INLINE void multiply_block(RunDots& run, std::size_t g, const std::int8_t* codes) {
    if constexpr (block == 0) {
      unit_.template load<kWeightTile<0>>(weights_[0][g], 64);
      if constexpr (kTiles == 2) unit_.template load<kWeightTile<1>>(weights_[1][g], 64);
    }
    unit_.template load<kInputTile<block>>(codes, groups_ * kGroupCodes);
    multiply_tile<0, block>(run.dots[0][block][g]);
    if constexpr (kTiles == 2) multiply_tile<1, block>(run.dots[1][block][g]);
  }

  template <std::size_t tile, std::size_t block>
  SKEIN_INLINE void multiply_tile(std::int32_t (*dots)[kLanes]) {
    unit_.template zero<kDotTile<tile, block>>();
    unit_.template dot<kDotTile<tile, block>, kInputTile<block>, kWeightTile<tile>>();
    unit_.template store<kDotTile<tile, block>>(dots, kLanes * sizeof(std::int32_t));
  }

  Unit& unit_;
  const char* const tiles_;
  const std::size_t groups_;  // of a row
  const std::size_t count_;   // inputs
  const std::int8_t* const codes_;
  const float* const x_scales_;
  // The current run: where its codes lie, room to unpack them, its scales.
  const char* weights_[2][kRun];
  F32 scales_[2][kRun];
  alignas(64) char room_[2][kRun][kGroupCodes * kLanes];
};

template <class Unit, unsigned bits>
void matrix_tiles(const TileProduct& product) {
  const Inputs& x = *product.x;
  const std::size_t tile_bytes = (x.cols + std::size_t{31}) / 32 * kGroupBytes<bits>;
  Unit unit;
  std::size_t count = 0;
  for (std::size_t first = 0; first < x.rows; first += count) {
    count = strip_of(x.rows - first);
    const TileShapes shapes = shapes_for(count);
    unit.configure(&shapes);
    const auto* tiles = static_cast<const char*>(product.tiles);
    float* y = product.y + first * product.y_stride;
    std::size_t left = product.tile_count;
    for (; left >= 2; left -= 2, tiles += 2 * tile_bytes, y += 2 * kLanes) {
      TilesByStrip<Unit, bits, 2>(unit, tiles, x, first, count).multiply(y, product.y_stride);
    }
    if (left == 0) continue;
    TilesByStrip<Unit, bits, 1>(unit, tiles, x, first, count).multiply(y, product.y_stride);
  }
  unit.release();
}

}  // namespace
}  // namespace skein
