// Silence: how small a neuron's value must be to be taken as zero, under a budget of CETT
// (cumulative error of tail truncation; ReLU^2 Wins, Zhang et al. 2024): the mean over tokens of
//   || sum of h_i val_i over m_i < eps || / || sum of h_i val_i ||,   m_i = |h_i| ||val_i||.
// One eps a layer. Pure; any thread.
#pragma once

#include "coordinator/compress/internal/layer_activity.h"

namespace skein {

// What neurons add to the outputs: (neurons, width) as floats.
RowMatrix value_rows_of(const Model& model, std::uint32_t layer);

// The mean CETT of eps over the first `tokens` rows.
double tail_truncation(const LayerActivity& activity, const RowMatrix& values, float eps,
                       std::uint32_t tokens);

// Of each neuron eps / ||val_i|| with the largest eps within the budget, rounded down to bf16;
// budget > 0. Neurons that add nothing are always silent.
std::vector<float> thresholds_within(const LayerActivity& activity, const RowMatrix& values,
                                     double budget);

}  // namespace skein
