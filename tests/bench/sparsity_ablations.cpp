// Predictors of neurons, thresholds and orders compared:
//   sparsity_ablations MODEL.pth VOCABULARY CALIBRATION.txt HELD_OUT.txt [ids]
// One table of predictors a layer ("Activation Sparsity", "RWKV-Lite"), each trained on the first
// text and measured on 8 windows of the second, at the cuts that the calibration puts at a recall
// of 0.9; one of CETT budgets against perplexity; one of orders.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "common/checkpoint/checkpoint.h"
#include "common/convert/convert.h"
#include "common/model/tokenizer.h"
#include "coordinator/compress/press.h"
#include "kernels/isa/isa.h"

namespace skein {
namespace {

std::string read(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Given {
  Checkpoint checkpoint;
  std::vector<TokenId> text, held_out;
  std::string ids;
  SerialParallel serial;
};

Result<PressResult> pressed(Given& given, std::vector<std::string> settings, bool quantize) {
  CompressionRequest request;
  request.settings = std::move(settings);
  request.settings.push_back("calibration.ids=" + given.ids);
  request.calibration = "calibration";
  request.only = {"sparsity"};
  if (quantize) {
    request.only.push_back("quantize");
    request.settings.push_back("quantize.format=q4");
    request.settings.push_back("quantize.method=nearest");
  }
  TRY(const CompressionPlan plan, CompressionPlan::make(request));
  return press({.checkpoint = given.checkpoint,
                .convert = {},
                .text = given.text,
                .held_out = given.held_out,
                .parallel = given.serial},
               plan);
}

void print_predictors(Given& given) {
  std::printf(
      "predictor            layer   recall  precision  energy | colder half: recall  "
      "precision  energy | bytes a layer\n");
  for (const char* kinds :
       {"previous", "sign", "sketch", "mlp", "key", "sign+previous", "mlp+sign", "mlp+sketch"}) {
    const auto result =
        pressed(given, {std::string("sparsity.predictor=") + kinds, "sparsity.order=off"}, false);
    if (!result) {
      std::printf("%s: %s\n", kinds, to_string(result.error()).c_str());
      continue;
    }
    const SparsityReport& report = *result->sparsity;
    for (std::size_t i = 0; i < report.layers.size(); ++i) {
      const PredictorQuality& all = report.layers[i].all;
      const PredictorQuality& cold = report.layers[i].cold;
      std::printf(
          "%-20s %5zu   %6.3f  %9.3f  %6.3f |              %6.3f  %9.3f  %6.3f | %9.0f\n", kinds, i,
          all.recall, all.precision, all.energy, cold.recall, cold.precision, cold.energy,
          static_cast<double>(report.predictor_bytes) / static_cast<double>(report.layers.size()));
    }
    std::fflush(stdout);
  }
}

void print_thresholds(Given& given) {
  std::printf(
      "\nCETT budget   perplexity     growth   silent by layer, before -> after (CETT)   "
      "value bytes a token\n");
  for (const char* budget : {"0", "0.05", "0.1", "0.2"}) {
    const auto result = pressed(
        given,
        {std::string("sparsity.cett=") + budget, "sparsity.order=off", "sparsity.predictor=off"},
        false);
    if (!result || !result->measured) {
      std::printf("%-12s  nothing to do\n", budget);
      continue;
    }
    const MeasuredLoss& loss = *result->measured;
    std::printf("%-12s  %10.4f  %+8.3f %%  ", budget, loss.perplexity_after,
                100 * (loss.perplexity_after / loss.perplexity_before - 1));
    double bytes = 0;
    for (const LayerSparsity& layer : result->sparsity->layers) {
      std::printf(" %.3f->%.3f (%.3f)", layer.zero_rate_before, layer.zero_rate,
                  layer.tail_truncation);
      bytes += layer.value_bytes;
    }
    std::printf("  %.0f\n", bytes);
    std::fflush(stdout);
  }
}

void print_orders(Given& given) {
  std::printf("\norder (q4)  layer  hottest quarter's firings  blocks of 4 KiB touched a token\n");
  for (const char* order : {"off", "hot"}) {
    const auto result = pressed(
        given,
        {std::string("sparsity.order=") + order, "sparsity.cett=0", "sparsity.predictor=previous"},
        true);
    if (!result) {
      std::printf("%s: %s\n", order, to_string(result.error()).c_str());
      continue;
    }
    for (std::size_t i = 0; i < result->sparsity->layers.size(); ++i) {
      const LayerSparsity& layer = result->sparsity->layers[i];
      std::printf("%-10s  %5zu  %25.3f  %8.2f of %u\n", order, i, layer.hot_quarter,
                  layer.blocks_touched, layer.blocks);
    }
    std::printf("            perplexity %.4f\n", result->measured->perplexity_after);
  }
}

int run(char** arguments, const char* ids) {
  const std::string file = read(arguments[1]);
  Given given;
  given.ids = ids;
  auto checkpoint = read_checkpoint(as_bytes(file), arguments[1]);
  const auto tokenizer = Tokenizer::parse(read(arguments[2]));
  if (!checkpoint || !tokenizer) {
    std::printf("%s\n", to_string(checkpoint ? tokenizer.error() : checkpoint.error()).c_str());
    return 1;
  }
  given.checkpoint = std::move(*checkpoint);
  const auto text = (*tokenizer)->encode(read(arguments[3]));
  const auto held_out = (*tokenizer)->encode(read(arguments[4]));
  if (!text || !held_out) {
    std::printf("%s\n", to_string(text ? held_out.error() : text.error()).c_str());
    return 1;
  }
  given.text = *text;
  given.held_out = *held_out;
  given.held_out.resize(std::min<std::size_t>(given.held_out.size(), 8192));
  print_predictors(given);
  print_thresholds(given);
  print_orders(given);
  return 0;
}

}  // namespace
}  // namespace skein

int main(int count, char** arguments) {
  if (count < 5) {
    std::printf("sparsity_ablations MODEL VOCABULARY CALIBRATION.txt HELD_OUT.txt [ids]\n");
    return 2;
  }
  if (!skein::select_isa("")) return 1;
  return skein::run(arguments, count > 5 ? arguments[5] : "16384");
}
