// Neuron scores: which neurons of a channel mix can go, by what a text shows of them. Neuron i adds
// h_i V_i to a layer's output, h_i = relu(K_i x)^2. Pure; one thread, which lends others through
// Parallel.
#pragma once

#include <vector>

#include "coordinator/compress/internal/input_statistics.h"
#include "coordinator/compress/structure_plan.h"

namespace skein {

// A channel mix; views.
struct Neurons {
  std::uint32_t count = 0;
  std::uint32_t width = 0;
  std::span<const float> key = {};      // (count, width)
  std::span<const float> value = {};    // (count, width)
  const InputStatistics& key_inputs;    // of x
  const InputStatistics& value_inputs;  // of h
};

// Of each neuron of a layer.
struct NeuronScores {
  std::vector<double> score;  // the least go first
  std::vector<double> peak;   // the largest that it added to any output: max |h_i| ||V_i||
};

// Errc::kCorrupt: the products of the neurons cannot be decomposed (kNewton).
//
// kLorap: ||K_i . a|| + ||V_i|| rms(h_i), a the inputs' RMS.
// kNewton: removing all neurons by shares u costs 1/2 u^T A u, A = (V V^T) o (h h^T); with the sum
// of u given the least of it is u ~ A^-1 1, so the neurons of the largest u go. u is told in units
// of its mean, so that layers can be compared; score = -u.
// kFrequency: the share of tokens at which it fires.
Result<NeuronScores> score_neurons(const Neurons& neurons, PrunePlan::Score by, Parallel& parallel);

// Which neurons stay, of each layer, in increasing order: a multiple of 32 of them, as the formats'
// groups are, and together as near the plan's share as that allows.
std::vector<std::vector<std::uint32_t>> choose_neurons(std::span<const NeuronScores> layers,
                                                       const PrunePlan& plan);

// The value rows of those that stay, made anew so that the outputs over the text come nearest to
// those of all: V_S + (G_SS + g I)^-1 G_SP V_P, G the sum of h h^T. (kept, width). Errc::kCorrupt:
// G_SS cannot be decomposed.
Result<std::vector<float>> compensate(const Neurons& neurons, std::span<const std::uint32_t> kept);

// The outputs' squared error over the text relative to theirs, when `kept` neurons have `value`
// rows and the others none.
double output_error(const Neurons& neurons, std::span<const std::uint32_t> kept,
                    std::span<const float> value);

}  // namespace skein
