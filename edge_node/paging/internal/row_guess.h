// RowGuess: which rows of a matrix a pass will probably want, told before its exact mask is known,
// so that they can be read meanwhile. Never about results.
//
// Rows are put into classes: by the score of the artifact's predictor where it has one, else by how
// lately and how often they were wanted. How many of a class came true, of those that were not in
// memory, is counted as passes go by (old counts fade), so a class has an honest chance whatever
// the predictor says. A row is worth reading where its chance is above what a guess costs, in waits
// for a row that nobody guessed: both are measured as passes go by.
//
// Owned by a NeuronCache; one thread.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "common/artifact/page_source.h"
#include "common/env/env.h"
#include "common/predict/neuron_predictor.h"
#include "edge_node/paging/internal/row_table.h"

namespace skein::paging {

class RowGuess {
 public:
  static constexpr double kLeastChance = 0.3, kMostChance = 0.5;          // with a predictor
  static constexpr double kLeastByRecency = 0.65, kMostByRecency = 0.95;  // without
  static constexpr double kFirstChance = 0.5;
  static constexpr std::uint32_t kMostScored = 4;  // rows of a pass; more want most neurons anyway

  RowGuess(std::uint32_t most_rows, std::unique_ptr<NeuronPredictor> predictor);

  bool has_predictor() const { return predictor_ != nullptr; }
  // Puts the rows of a table into classes, by their recency ...
  void look_back(const RowTable& table, std::uint32_t index);
  // ... or by what enters its layer; false: it is not for such a pass.
  bool look_ahead(const RowTable& table, std::uint32_t index,
                  const PagedTensors::LayerInput& input);
  // Of the table looked at last: whether the row's chance is worth a read.
  bool is_likely(std::uint32_t row) const { return likely_[classes_[row]]; }
  // What came true of it: the rows that were wanted, of those not kept.
  void learn(const RowTable& table, std::uint32_t index, std::span<const std::uint8_t> wanted);
  // What a pass spent.
  struct Pass {
    std::uint64_t guesses = 0;  // rows
    std::uint64_t misses = 0;   // rows
    Duration guessing{};        // beginning to read guesses
    Duration late{};            // waiting for them
    Duration missed{};          // waiting for rows that were not guessed
  };
  void balance(const Pass& pass);
  double threshold() const { return threshold_; }

 private:
  static constexpr std::uint32_t kNone = ~0U;
  static constexpr std::size_t kClasses = 64;
  static constexpr std::uint32_t kFading = 1U << 15;  // rows of a class, after which counts halve
  struct Class {
    std::uint32_t seen = 0;
    std::uint32_t wanted = 0;
    double prior = 0;
    double chance() const;
  };
  void find_likely();

  std::unique_ptr<NeuronPredictor> predictor_;
  std::array<Class, 2 * kClasses> all_;  // by recency; by score
  std::array<bool, 2 * kClasses> likely_{};
  std::vector<std::uint8_t> classes_;  // of the rows of the table looked at
  std::uint32_t looked_at_ = kNone;
  struct Cost {  // fading sums
    double seconds = 0;
    double rows = 0;
    void add(Duration time, std::uint64_t more);
    double each() const { return seconds / rows; }
  };
  Cost guessed_, missed_;
  double threshold_ = kFirstChance;
  std::vector<float> scores_, highest_, recency_;  // scratch
};

}  // namespace skein::paging
