#include "common/model/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/base/check.h"
#include "kernels/ops/activations.h"

namespace skein {
namespace {

using Candidate = std::pair<float, TokenId>;

// More likely first; of equals the lower id.
bool more_likely(const Candidate& a, const Candidate& b) {
  return a.first != b.first ? a.first > b.first : a.second < b.second;
}
bool less_likely(const Candidate& a, const Candidate& b) { return more_likely(b, a); }

float logit_or_lowest(float logit) {
  return std::isnan(logit) ? -std::numeric_limits<float>::infinity() : logit;
}

TokenId greedy(std::span<const float> logits) {
  TokenId best = 0;
  for (TokenId id = 1; id < logits.size(); ++id) {
    if (logit_or_lowest(logits[id]) > logit_or_lowest(logits[best])) best = id;
  }
  return best;
}

// splitmix64 (Steele, Lea, Flood 2014), as a number in [0, 1).
double next_uniform(std::uint64_t& state) {
  state += 0x9E3779B97F4A7C15ULL;
  std::uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) * 0x1p-53;
}

// Keeps, at the front of `all`, the most likely candidates that top_k and top_p leave. first is a
// weight, `total` the sum of all; returns how many stay and their sum.
struct Kept {
  std::size_t count;
  double weight;
};
Kept keep_likely(std::vector<Candidate>& all, double total, const SamplerOptions& options) {
  const std::size_t most =
      options.top_k == 0 ? all.size() : std::min<std::size_t>(options.top_k, all.size());
  std::ranges::make_heap(all, less_likely);
  Kept kept = {0, 0};
  while (kept.count < most) {
    std::pop_heap(all.begin(), all.end() - static_cast<std::ptrdiff_t>(kept.count), less_likely);
    ++kept.count;
    kept.weight += double{all[all.size() - kept.count].first};
    if (kept.weight >= double{options.top_p} * total) break;
  }
  std::ranges::reverse(all);
  return kept;
}

}  // namespace

Sampler::Sampler(const SamplerOptions& options) : options_(options), random_state_(options.seed) {}

TokenId Sampler::pick(std::span<const float> logits) {
  CHECK(!logits.empty());
  const TokenId best = greedy(logits);
  const float largest = logits[best];
  if (!(options_.temperature > 0) || !std::isfinite(largest)) return best;
  scratch_.clear();
  double total = 0;
  for (TokenId id = 0; id < logits.size(); ++id) {
    const float weight = exp_of((logit_or_lowest(logits[id]) - largest) / options_.temperature);
    scratch_.emplace_back(weight, id);
    total += double{weight};
  }
  Kept kept = {scratch_.size(), total};
  if (options_.top_k != 0 || options_.top_p < 1) kept = keep_likely(scratch_, total, options_);
  double left = next_uniform(random_state_) * kept.weight;
  for (std::size_t i = 0; i < kept.count; ++i) {
    left -= double{scratch_[i].first};
    if (left < 0) return scratch_[i].second;
  }
  return best;  // rounding left a crumb behind the last candidate
}

}  // namespace skein
