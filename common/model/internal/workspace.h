// Workspace: every buffer that a forward pass needs. Owned by one Runner; one thread.
#pragma once

#include <vector>

#include "common/model/internal/head_scratch.h"
#include "common/model/internal/rows.h"
#include "common/model/internal/state_undo.h"
#include "common/model/model.h"
#include "common/model/weights.h"

namespace skein {

// Between and behind the factors of one matrix.
struct FactorBuffers {
  InputBuffer low;  // (rank)
  RowBuffer more;   // (width): what is added, where the matrix itself is there too
};

// Letters as in the papers; `in` buffers are what the matrix of that letter multiplies.
struct Workspace {
  RowBuffer normed;                    // the layer's input, normed; also what token shift keeps
  std::vector<const float*> previous;  // of each row: the normed row of the token before
  InputBuffer in_r, in_w, in_k, in_v, in_a, in_g, in_o, in_x;  // (width)
  InputBuffer low_w, low_a, low_v, low_g;                      // between the matrices of the LoRAs
  RowBuffer r, w, k, v, a, g, kk, b, gate, y, out, mu;         // (width)
  FactorBuffers by_r, by_k, by_v, by_g, by_o;
  InputBuffer h;              // (neurons of the layer)
  std::vector<float> shares;  // (blocks of neurons, width): decode's channel mix
  RowBuffer logits;           // (vocab): of several sessions
  HeadScratch head;
  Activation activation;             // for Runner::feed
  std::vector<std::uint8_t> wanted;  // neurons of a paged value matrix that some row needs
  StateUndo undo;                    // of a pass over a paged model
  Runner::Counters counters;
  InputObserver* observer = nullptr;

  void show(const Matrix& matrix, RowBuffer& inputs) const {
    if (observer != nullptr) observer->saw(matrix.name(), inputs.all(), inputs.width());
  }
};

}  // namespace skein
