#include "coordinator/compress/internal/press_report.h"

#include <boost/json/array.hpp>
#include <cmath>
#include <iomanip>
#include <map>
#include <sstream>

namespace skein {
namespace {

namespace json = boost::json;

double growth(const MeasuredLoss& loss) {
  return loss.perplexity_after / loss.perplexity_before - 1;
}

json::object describe(const TensorReport& tensor) {
  json::object out{{"name", tensor.name},
                   {"format", name_of(tensor.format)},
                   {"bytes_before", tensor.bytes_before},
                   {"bytes", tensor.bytes_after},
                   {"bits_per_weight", 8.0 * static_cast<double>(tensor.bytes_after) /
                                           static_cast<double>(tensor.weights)},
                   {"relative_error", tensor.relative_error}};
  if (tensor.output_error) out["output_error"] = *tensor.output_error;
  if (tensor.alpha) out["alpha"] = *tensor.alpha;
  if (tensor.coded_bytes) {
    out["coded_bytes"] = *tensor.coded_bytes;
    out["coded_bits_per_weight"] =
        8.0 * static_cast<double>(*tensor.coded_bytes) / static_cast<double>(tensor.weights);
  }
  if (tensor.predicted_loss) out["predicted_loss"] = *tensor.predicted_loss;
  return out;
}

json::object describe(const TechniqueReport& technique) {
  json::object out{{"name", technique.name},
                   {"bytes_before", technique.bytes_before},
                   {"bytes", technique.bytes_after}};
  if (technique.perplexity_before) out["perplexity_before"] = *technique.perplexity_before;
  if (technique.perplexity_after) out["perplexity"] = *technique.perplexity_after;
  return out;
}

void describe_techniques(const PressResult& pressed, json::object& out) {
  json::array techniques;
  for (const TechniqueReport& technique : pressed.techniques) {
    techniques.push_back(describe(technique));
  }
  if (!techniques.empty()) out["techniques"] = std::move(techniques);
  json::array layers;
  for (const PrunedLayer& layer : pressed.pruned) {
    json::object& told = layers.emplace_back(json::object{}).as_object();
    told["neurons_before"] = layer.neurons_before;
    told["neurons"] = layer.neurons;
    told["output_error"] = layer.output_error;
    if (layer.compensated_error) told["compensated_error"] = *layer.compensated_error;
  }
  if (!layers.empty()) out["pruned"] = std::move(layers);
  json::object factored;
  for (const auto& [name, error] : pressed.factored) factored[name] = error;
  if (!factored.empty()) out["factored"] = std::move(factored);
}

json::object describe(const PredictorQuality& quality) {
  return {{"recall", quality.recall},
          {"precision", quality.precision},
          {"energy_recall", quality.energy}};
}

json::object describe(const SparsityReport& sparsity) {
  json::array layers;
  for (const LayerSparsity& layer : sparsity.layers) {
    json::object out{{"zero_rate_before", layer.zero_rate_before},
                     {"zero_rate", layer.zero_rate},
                     {"cett", layer.tail_truncation},
                     {"hot_quarter_share", layer.hot_quarter},
                     {"value_bytes_per_token", layer.value_bytes},
                     {"value_blocks_per_token_before", layer.blocks_touched_before},
                     {"value_blocks_per_token", layer.blocks_touched},
                     {"value_blocks", layer.blocks}};
    if (!sparsity.predictor.empty()) {
      out["predictor"] = describe(layer.all);
      out["predictor_cold_half"] = describe(layer.cold);
    }
    layers.push_back(std::move(out));
  }
  json::object out{{"cett", sparsity.cett}, {"ordered", sparsity.ordered}};
  if (!sparsity.predictor.empty()) {
    out["predictor"] = sparsity.predictor;
    out["predictor_bytes"] = sparsity.predictor_bytes;
  }
  out["layers"] = std::move(layers);
  return out;
}

json::object describe(const HeadReport& head) {
  json::object out{{"method", name_of(head.method)},
                   {"bytes", head.bytes},
                   {"tokens", head.tokens},
                   {"dense_bytes_per_token", head.dense_bytes},
                   {"bytes_per_token", head.bytes_greedy},
                   {"top1_agreement", head.agreement},
                   {"top1_before", head.accuracy_before},
                   {"top1", head.accuracy}};
  if (head.method == HeadPlan::Method::kScreen) {
    out["top40_bytes_per_token"] = head.bytes_top40;
  } else {
    out["divergence"] = head.divergence;
  }
  return out;
}

std::string summary_of(const HeadReport& head) {
  std::ostringstream out;
  const bool screens = head.method == HeadPlan::Method::kScreen;
  out << std::fixed << std::setprecision(0) << "head: " << head.dense_bytes << " bytes dense, "
      << head.bytes_greedy << " read a token";
  if (screens) out << " for the largest logit, " << head.bytes_top40 << " for the largest 40";
  out << std::setprecision(2) << "; the same largest in " << head.agreement * 100 << " %, right in "
      << head.accuracy_before * 100 << " -> " << head.accuracy * 100 << " % of " << head.tokens
      << " tokens";
  if (!screens) out << std::setprecision(5) << "; KL " << head.divergence << " nats";
  out << "\n";
  return out.str();
}

// Means over layers.
std::string summary_of(const SparsityReport& sparsity) {
  LayerSparsity mean;
  const auto count = static_cast<double>(sparsity.layers.size());
  for (const LayerSparsity& layer : sparsity.layers) {
    mean.zero_rate_before += layer.zero_rate_before / count;
    mean.zero_rate += layer.zero_rate / count;
    mean.value_bytes += layer.value_bytes;
    mean.blocks_touched_before += layer.blocks_touched_before;
    mean.blocks_touched += layer.blocks_touched;
    mean.blocks += layer.blocks;
    mean.cold.recall += layer.cold.recall / count;
    mean.cold.precision += layer.cold.precision / count;
    mean.all.recall += layer.all.recall / count;
    mean.all.precision += layer.all.precision / count;
  }
  std::ostringstream out;
  out << std::fixed << std::setprecision(1) << "silent neurons " << mean.zero_rate_before * 100
      << " -> " << mean.zero_rate * 100 << " %; value rows read " << mean.value_bytes
      << " bytes a token, in " << mean.blocks_touched << " of " << mean.blocks
      << " blocks of 4 KiB (" << mean.blocks_touched_before << " before)\n";
  if (sparsity.predictor.empty()) return out.str();
  out << std::setprecision(3) << "predictor " << sparsity.predictor << ", "
      << sparsity.predictor_bytes << " bytes: recall " << mean.all.recall << " at precision "
      << mean.all.precision << "; of the colder half " << mean.cold.recall << " at "
      << mean.cold.precision << "\n";
  return out.str();
}

}  // namespace

double bits_per_weight(const PressResult& pressed) {
  std::uint64_t bytes = 0;
  std::uint64_t weights = 0;
  for (const TensorEntry& tensor : pressed.artifact->manifest().tensors) {
    bytes += stored_bytes(tensor.format, tensor.layout, tensor.rows, tensor.cols);
    if (!is_derived(tensor.name)) weights += std::uint64_t{tensor.rows} * tensor.cols;
  }
  return 8.0 * static_cast<double>(bytes) / static_cast<double>(weights);
}

TechniqueReport coding_report(const PressResult& pressed, std::uint64_t file_bytes) {
  TechniqueReport told{.name = "entropy", .bytes_after = file_bytes};
  for (const PageEntry& page : pressed.artifact->manifest().pages) told.bytes_before += page.bytes;
  if (pressed.measured) {
    told.perplexity_before = pressed.measured->perplexity_after;
    told.perplexity_after = pressed.measured->perplexity_after;
  }
  return told;
}

json::object describe(const PressResult& pressed, const Written& written) {
  json::array tensors;
  std::uint64_t before = 0;
  std::uint64_t after = 0;
  for (const TensorReport& tensor : pressed.tensors) {
    before += tensor.bytes_before;
    after += tensor.bytes_after;
    tensors.push_back(describe(tensor));
  }
  json::object out{{"digest", written.digest.hex()},
                   {"bytes_before", before},
                   {"bytes", after},
                   {"bits_per_weight", bits_per_weight(pressed)},
                   {"file_bytes", written.file_bytes},
                   {"pages", pressed.artifact->manifest().pages.size()},
                   {"tensors", std::move(tensors)},
                   {"seconds", written.seconds}};
  if (!pressed.calibration.empty()) out["calibration"] = pressed.calibration;
  describe_techniques(pressed, out);
  if (pressed.predicted_loss) out["predicted_loss"] = *pressed.predicted_loss;
  if (pressed.coded_bits) out["coded_bits_per_weight"] = *pressed.coded_bits;
  if (pressed.measured) {
    out["held_out"] = json::object{{"tokens", pressed.measured->ids},
                                   {"perplexity_before", pressed.measured->perplexity_before},
                                   {"perplexity", pressed.measured->perplexity_after},
                                   {"growth", growth(*pressed.measured)}};
  }
  if (pressed.sparsity) out["sparsity"] = describe(*pressed.sparsity);
  if (pressed.memory_budget) out["recommended_memory_budget"] = *pressed.memory_budget;
  if (pressed.head) out["head"] = describe(*pressed.head);
  if (pressed.budget_met) out["budget_met"] = *pressed.budget_met;
  return out;
}

std::string summary_of(const PressResult& pressed) {
  std::ostringstream out;
  if (!pressed.calibration.empty()) {
    std::map<std::string_view, std::size_t> formats;
    for (const TensorReport& tensor : pressed.tensors) {
      if (is_quantized(tensor.format)) ++formats[name_of(tensor.format)];
    }
    out << std::fixed << std::setprecision(3) << bits_per_weight(pressed) << " bits a weight"
        << (formats.empty() ? "" : ":");
    for (const auto& [format, count] : formats) out << " " << count << " " << format;
    if (pressed.coded_bits) out << "; " << *pressed.coded_bits << " once coded";
    out << "; calibrated on " << pressed.calibration << "\n";
  }
  for (const TechniqueReport& technique : pressed.techniques) {
    out << technique.name << ": " << technique.bytes_before << " -> " << technique.bytes_after
        << " bytes";
    if (technique.perplexity_before && technique.perplexity_after) {
      const double more = *technique.perplexity_after / *technique.perplexity_before - 1;
      out << std::fixed << std::setprecision(4) << ", perplexity " << *technique.perplexity_before
          << " -> " << *technique.perplexity_after << " (" << std::showpos << more * 100
          << std::noshowpos << " %)";
    }
    out << "\n";
  }
  if (pressed.measured) {
    const MeasuredLoss& loss = *pressed.measured;
    out << std::fixed << std::setprecision(4) << "perplexity " << loss.perplexity_before << " -> "
        << loss.perplexity_after << " (" << std::showpos << growth(loss) * 100 << std::noshowpos
        << " %) on " << loss.ids << " ids held out";
    if (pressed.predicted_loss) {
      out << "; predicted " << std::showpos << std::expm1(*pressed.predicted_loss) * 100 << " %";
    }
    out << "\n";
  }
  if (pressed.sparsity) out << summary_of(*pressed.sparsity);
  if (pressed.head) out << summary_of(*pressed.head);
  if (pressed.memory_budget) {
    out << "generate with --memory-budget " << *pressed.memory_budget
        << ", a tenth of bf16 beside an empty process\n";
  }
  if (pressed.budget_met == false) {
    out << "the preset's loss was not reached within its bits; more bits: --bits-per-weight\n";
  }
  return out.str();
}

}  // namespace skein
