#include "coordinator/compress/internal/pruning.h"

#include <cmath>

#include "coordinator/compress/internal/changed_tensor.h"

namespace skein {
namespace {

using Kept = std::vector<std::vector<std::uint32_t>>;

// A layer's two matrices as floats, neuron by neuron.
struct LayerMatrices {
  std::string key_name;
  std::string value_name;
  const CheckpointTensor* key = nullptr;
  const CheckpointTensor* value = nullptr;
  std::vector<float> key_rows = {};
  std::vector<float> value_rows = {};

  static Result<LayerMatrices> read(const Checkpoint& checkpoint, std::uint32_t layer) {
    const std::string block = "blocks." + std::to_string(layer) + ".ffn.";
    LayerMatrices out{.key_name = block + "key.weight", .value_name = block + "value.weight"};
    out.key = find_tensor(checkpoint, out.key_name);
    out.value = find_tensor(checkpoint, out.value_name);
    CHECK(out.key != nullptr && out.value != nullptr);  // a model was opened on them
    TRY(out.key_rows, stored_values(*out.key));
    TRY(out.value_rows, stored_values(*out.value));
    return out;
  }

  Neurons neurons(const StatisticsObserver& seen) const {
    const InputStatistics* key_inputs = seen.find(key_name);
    const InputStatistics* value_inputs = seen.find(value_name);
    CHECK(key_inputs != nullptr && value_inputs != nullptr);
    return {.count = key->shape[0],
            .width = key->shape[1],
            .key = key_rows,
            .value = value_rows,
            .key_inputs = *key_inputs,
            .value_inputs = *value_inputs};
  }
};

std::vector<float> some_rows(std::span<const float> rows, std::uint32_t width,
                             std::span<const std::uint32_t> kept) {
  std::vector<float> out;
  out.reserve(kept.size() * width);
  for (const std::uint32_t row : kept) {
    const auto from = rows.subspan(std::size_t{row} * width, width);
    out.insert(out.end(), from.begin(), from.end());
  }
  return out;
}

// What is measured is what is stored: values rounded to their elements' format.
Result<void> put_layer(Pruned& out, const LayerMatrices& layer, const Neurons& neurons,
                       std::span<const std::uint32_t> kept, bool compensates) {
  const auto count = static_cast<std::uint32_t>(kept.size());
  PrunedLayer report{.neurons_before = neurons.count, .neurons = count};
  std::vector<float> value = some_rows(neurons.value, neurons.width, kept);
  report.output_error = std::sqrt(output_error(neurons, kept, value));
  if (compensates && count < neurons.count) {
    TRY(value, compensate(neurons, kept));
    report.compensated_error = std::sqrt(output_error(neurons, kept, value));
  }
  put_tensor(out.checkpoint, made_tensor({.name = layer.key_name,
                                          .shape = {count, neurons.width},
                                          .format = element_format(*layer.key)},
                                         some_rows(neurons.key, neurons.width, kept)));
  put_tensor(out.checkpoint, made_tensor({.name = layer.value_name,
                                          .shape = {neurons.width, count},
                                          .format = element_format(*layer.value),
                                          .swapped = true},
                                         value));
  out.layers.push_back(report);
  return {};
}

}  // namespace

Result<Pruned> prune(const Checkpoint& checkpoint, const Model& model, Parallel& parallel,
                     const CalibrationText& text, const PrunePlan& plan,
                     const std::function<void(double, std::string_view)>& progress) {
  Pruned out{.checkpoint = checkpoint, .layers = {}};
  CalibrationPass pass(model, parallel, text);
  const auto layers = static_cast<double>(pass.layers());
  TRY_VOID(pass.begin());
  std::vector<NeuronScores> scores;
  while (pass.layer() < pass.layers()) {
    TRY(const LayerMatrices layer, LayerMatrices::read(checkpoint, pass.layer()));
    TRY_VOID(pass.run_layer());
    TRY(NeuronScores found, score_neurons(layer.neurons(pass.statistics()), plan.score, parallel));
    scores.push_back(std::move(found));
    progress(0.5 * pass.layer() / layers, layer.key_name);
  }
  const Kept kept = choose_neurons(scores, plan);
  TRY_VOID(pass.begin());
  while (pass.layer() < pass.layers()) {
    const std::uint32_t index = pass.layer();
    TRY(const LayerMatrices layer, LayerMatrices::read(checkpoint, index));
    TRY_VOID(pass.run_layer());
    TRY_VOID(put_layer(out, layer, layer.neurons(pass.statistics()), kept[index], plan.compensate));
    progress(0.5 + 0.5 * pass.layer() / layers, layer.value_name);
  }
  return out;
}

}  // namespace skein
