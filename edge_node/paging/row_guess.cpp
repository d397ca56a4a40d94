#include "edge_node/paging/internal/row_guess.h"

#include <algorithm>
#include <cmath>

namespace skein::paging {

namespace {

constexpr double kPriorRows = 32;    // that a class's first guess counts for
constexpr double kScoreStep = 4;     // classes a unit of log-odds
constexpr double kFadingCost = 0.9;  // of the passes before
constexpr double kFewRows = 16;      // that tell no cost
constexpr double kTryMore = 0.98;    // of the threshold, where too little is guessed to know

}  // namespace

double RowGuess::Class::chance() const {
  return (wanted + prior * kPriorRows) / (seen + kPriorRows);
}

RowGuess::RowGuess(std::uint32_t most_rows, std::unique_ptr<NeuronPredictor> predictor)
    : predictor_(std::move(predictor)), classes_(most_rows) {
  for (std::size_t i = 0; i < kClasses; ++i) {
    all_[i].prior = 0.25 * static_cast<double>(i) / kClasses;
    const double score = (static_cast<double>(i) - kClasses / 2.0 + 0.5) / kScoreStep;
    all_[kClasses + i].prior = 1 / (1 + std::exp(-score));
  }
  find_likely();
  if (predictor_ == nullptr) return;
  scores_.resize(most_rows);
  highest_.resize(most_rows);
  recency_.resize(most_rows);
}

void RowGuess::find_likely() {
  for (std::size_t i = 0; i < all_.size(); ++i) likely_[i] = all_[i].chance() >= threshold_;
}

void RowGuess::look_back(const RowTable& table, std::uint32_t index) {
  looked_at_ = index;
  find_likely();
  for (std::uint32_t row = 0; row < table.rows; ++row) {
    classes_[row] = static_cast<std::uint8_t>(table.recency[row] * kClasses / 256);
  }
}

bool RowGuess::look_ahead(const RowTable& table, std::uint32_t index,
                          const PagedTensors::LayerInput& input) {
  const std::size_t rows = input.shift.size();
  if (predictor_ == nullptr || rows == 0 || rows > kMostScored) return false;
  if (std::ranges::find(input.shift, nullptr) != input.shift.end()) return false;
  const std::size_t width = input.x.size() / rows;
  for (std::uint32_t row = 0; row < table.rows; ++row) {
    recency_[row] = static_cast<float>(table.recency[row]) / 252.0F;
  }
  const std::span<float> highest = std::span(highest_).first(table.rows);
  const std::span<float> scores = std::span(scores_).first(table.rows);
  for (std::size_t i = 0; i < rows; ++i) {
    const BeforeLayer before = {LayerIndex(input.layer),
                                input.x.subspan(i * width, width),
                                {input.shift[i], width},
                                std::span(recency_).first(table.rows)};
    predictor_->score(before, i == 0 ? highest : scores);
    for (std::size_t j = 0; i > 0 && j < highest.size(); ++j) {
      highest[j] = std::max(highest[j], scores[j]);
    }
  }
  looked_at_ = index;
  find_likely();
  constexpr float kMiddle = kClasses / 2.0F;
  for (std::uint32_t row = 0; row < table.rows; ++row) {
    const float place = std::clamp(highest[row] * static_cast<float>(kScoreStep) + kMiddle, 0.0F,
                                   static_cast<float>(kClasses - 1));
    classes_[row] = static_cast<std::uint8_t>(kClasses + static_cast<std::size_t>(place));
  }
  return true;
}

void RowGuess::learn(const RowTable& table, std::uint32_t index,
                     std::span<const std::uint8_t> wanted) {
  if (looked_at_ != index) return;
  looked_at_ = kNone;
  for (std::uint32_t row = 0; row < table.rows; ++row) {
    if (table.places[row] != RowTable::kNowhere) continue;
    Class& of = all_[classes_[row]];
    ++of.seen;
    of.wanted += wanted[row] != 0 ? 1 : 0;
  }
  for (Class& each : all_) {
    if (each.seen < kFading) continue;
    each.seen /= 2;
    each.wanted /= 2;
  }
}

void RowGuess::Cost::add(Duration time, std::uint64_t more) {
  seconds = seconds * kFadingCost + std::chrono::duration<double>(time).count();
  rows = rows * kFadingCost + static_cast<double>(more);
}

void RowGuess::balance(const Pass& pass) {
  guessed_.add(pass.guessing + pass.late, pass.guesses);
  missed_.add(pass.missed, pass.misses);
  if (guessed_.rows < kFewRows) {
    threshold_ *= kTryMore;
  } else if (missed_.rows >= kFewRows && missed_.seconds > 0) {
    threshold_ = guessed_.each() / missed_.each();
  }
  threshold_ = std::clamp(threshold_, predictor_ ? kLeastChance : kLeastByRecency,
                          predictor_ ? kMostChance : kMostByRecency);
}

}  // namespace skein::paging
