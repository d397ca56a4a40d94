// SparsityReport: what the technique `sparsity` found and made, layer by layer, on text that it did
// not learn from. Value; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace skein {

// How well a predictor names the neurons that fire.
struct PredictorQuality {
  double recall = 0;     // of those that fired, named
  double precision = 0;  // of those named, fired
  double energy = 0;     // recall weighed with h_i^2 ||val_i||^2
};

struct LayerSparsity {
  double zero_rate_before = 0;  // silent neurons of all
  double zero_rate = 0;
  double tail_truncation = 0;        // mean CETT
  double hot_quarter = 0;            // share of firings that the hottest quarter of neurons carries
  double value_bytes = 0;            // of value rows, read a token
  double blocks_touched_before = 0;  // of 4 KiB, a token, of the value matrix
  double blocks_touched = 0;
  std::uint32_t blocks = 0;
  PredictorQuality all;   // at the cuts for a recall of 0.9
  PredictorQuality cold;  // the same of the half that fires less
};

struct SparsityReport {
  double cett = 0;
  bool ordered = false;
  std::string predictor;              // "" = none
  std::uint64_t predictor_bytes = 0;  // in memory
  std::vector<LayerSparsity> layers;
};

inline constexpr double kReportedRecall = 0.9;

}  // namespace skein
