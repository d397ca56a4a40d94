// HeadSketch: what screens the head (common/model/head_screen.cpp): each row's few coordinates in a
// basis of the directions that the head's inputs take, and how far off they can be. Pure.
#pragma once

#include <vector>

#include "common/base/bytes.h"
#include "coordinator/compress/internal/layer_activity.h"
#include "kernels/ops/format.h"

namespace skein {

struct HeadSketch {
  RowMatrix basis;     // (rank, width): the leading principal directions of the inputs
  Buffer stored = {};  // the coordinates (vocab, rank) in tiles
  std::vector<float> inside = {}, beyond = {}, sizes = {};  // (vocab), rounded up
};

struct SketchForm {
  std::uint32_t rank = 0;
  Format format = Format::kQ4;
};

// rows: of the head, as the model multiplies them (vocab, width). inputs: (tokens, width).
HeadSketch make_head_sketch(const RowMatrix& rows, const RowMatrix& inputs, const SketchForm& form);

}  // namespace skein
