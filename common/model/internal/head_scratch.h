// HeadScratch: what a HeadPass computes in. Of a Workspace; grows to the largest pass once.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "common/model/internal/rows.h"

namespace skein {

// Of a tile's mark.
inline constexpr std::uint8_t kTileWanted = 1;
inline constexpr std::uint8_t kTileMade = 2;

struct HeadScratch {
  RowBuffer ordered;                    // logits as the rows of head.weight stand
  RowBuffer scores;                     // of the sketch, or of clusters
  InputBuffer coordinates;              // of an input, in the sketch's basis
  std::vector<float> input, remainder;  // (width)
  std::vector<float> bounds;            // (vocab): no logit is above its own
  std::vector<float> largest;           // logits that are there
  std::vector<std::uint8_t> marked;     // tiles
  std::vector<std::uint8_t> missing;    // tiles that are to be made now
  std::vector<std::uint32_t> ranked;    // clusters or rows, by score
  std::vector<std::uint8_t> known;      // clusters
};

}  // namespace skein
