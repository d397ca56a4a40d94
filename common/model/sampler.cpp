#include "common/model/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <sstream>

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

// Calls `visit` with every id below `count` that is allowed, upwards.
template <class Visit>
void for_allowed(std::size_t count, TokenMask allowed, Visit visit) {
  if (allowed.empty()) {
    for (TokenId id = 0; id < count; ++id) visit(id);
    return;
  }
  for (std::size_t word = 0; word < std::min(allowed.size(), (count + 63) / 64); ++word) {
    for (std::uint64_t bits = allowed[word]; bits != 0; bits &= bits - 1) {
      const auto id =
          static_cast<TokenId>(word * 64 + static_cast<unsigned>(std::countr_zero(bits)));
      if (id < count) visit(id);
    }
  }
}

TokenId greedy(std::span<const float> logits, TokenMask allowed) {
  std::optional<TokenId> best;
  for_allowed(logits.size(), allowed, [&](TokenId id) {
    if (!best || logit_or_lowest(logits[id]) > logit_or_lowest(logits[*best])) best = id;
  });
  CHECK(best.has_value());
  return *best;
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
    if (options.top_p < 1 && kept.weight >= double{options.top_p} * total) break;
  }
  std::ranges::reverse(all);
  return kept;
}

}  // namespace

Result<void> check(const SamplerOptions& options, std::uint32_t vocab) {
  const auto in = [](double value, SamplerRange range, std::string_view name) -> Result<void> {
    if (value >= range.least && value <= range.most) return {};
    std::ostringstream bounds;
    bounds << range.least << " to " << range.most;
    return fail(Errc::kUsage, std::string(name) + " is out of its range", "sampler",
                "give a number from " + bounds.str());
  };
  TRY_VOID(in(double{options.temperature}, kTemperatureRange, "temperature"));
  TRY_VOID(in(double{options.top_p}, kShareRange, "top_p"));
  TRY_VOID(in(double{options.min_p}, kShareRange, "min_p"));
  TRY_VOID(in(double{options.repetition_penalty}, kRepetitionPenaltyRange, "repetition_penalty"));
  TRY_VOID(in(double{options.frequency_penalty}, kPenaltyRange, "frequency_penalty"));
  TRY_VOID(in(double{options.presence_penalty}, kPenaltyRange, "presence_penalty"));
  TRY_VOID(in(static_cast<double>(options.repeat_last_n), {0, kMaxRepeatLastN}, "repeat_last_n"));
  TRY_VOID(in(static_cast<double>(options.logit_bias.size()), {0, kMaxLogitBias},
              "the number of biased tokens"));
  for (const auto& [id, bias] : options.logit_bias) {
    TRY_VOID(in(double{bias}, kLogitBiasRange, "a logit_bias"));
    TRY_VOID(in(static_cast<double>(id), {0, static_cast<double>(vocab) - 1},
                "the token " + std::to_string(id) + " of logit_bias"));
  }
  return {};
}

namespace {

bool adjusts(const SamplerOptions& options) {
  return !options.logit_bias.empty() || options.repetition_penalty != 1 ||
         options.frequency_penalty != 0 || options.presence_penalty != 0;
}

}  // namespace

std::uint32_t sampler_bytes(const SamplerOptions& options) {
  const std::uint32_t drawing = options.temperature > 0 ? sizeof(Candidate) : 0;
  // Adjusted logits, what was picked, and what is in the window, which may have grown by doubling.
  return drawing + (adjusts(options) ? 4 * sizeof(float) : 0);
}

Sampler::Sampler(const SamplerOptions& options) : options_(options), random_state_(options.seed) {
  if (options_.repetition_penalty == 1) options_.repeat_last_n = 0;
  window_.reserve(options_.repeat_last_n);
}

bool Sampler::adjusts() const {
  return !options_.logit_bias.empty() || options_.repeat_last_n > 0 ||
         options_.frequency_penalty != 0 || options_.presence_penalty != 0;
}

std::uint32_t Sampler::most() const {
  if (adjusts()) return 0;
  if (!(options_.temperature > 0)) return 1;
  return options_.top_p < 1 ? 0 : options_.top_k;  // top_p is a share of all
}

void Sampler::read(std::span<const TokenId> ids) {
  for (const TokenId id : ids) remember(id);
}

void Sampler::remember(TokenId id) {
  if (options_.repeat_last_n == 0) return;
  if (id >= in_window_.size()) in_window_.resize(id + 1);
  ++in_window_[id];
  if (window_.size() < options_.repeat_last_n) {
    window_.push_back(id);
    return;
  }
  --in_window_[std::exchange(window_[window_at_], id)];
  window_at_ = (window_at_ + 1) % window_.size();
}

// The logits after stages 1 to 4; of tokens that are not allowed, anything.
std::span<const float> Sampler::adjusted(std::span<const float> logits, TokenMask allowed) {
  adjusted_.resize(logits.size());
  if (in_window_.size() < logits.size()) in_window_.resize(logits.size());
  if (picked_.size() < logits.size()) picked_.resize(logits.size());
  std::ranges::transform(logits, adjusted_.begin(), logit_or_lowest);
  for (const auto& [id, bias] : options_.logit_bias) {
    if (id < adjusted_.size()) adjusted_[id] += bias;
  }
  const float penalty = options_.repetition_penalty;
  for_allowed(logits.size(), allowed, [&](TokenId id) {
    float& logit = adjusted_[id];
    if (in_window_[id] > 0) logit = logit > 0 ? logit / penalty : logit * penalty;
    if (picked_[id] > 0) {
      logit -= options_.frequency_penalty * static_cast<float>(picked_[id]);
      logit -= options_.presence_penalty;
    }
  });
  return adjusted_;
}

TokenId Sampler::pick(std::span<const float> logits, TokenMask allowed) {
  CHECK(!logits.empty());
  if (!adjusts()) return draw(logits, allowed);
  const TokenId picked = draw(adjusted(logits, allowed), allowed);
  ++picked_[picked];
  remember(picked);
  return picked;
}

TokenId Sampler::draw(std::span<const float> logits, TokenMask allowed) {
  const TokenId best = greedy(logits, allowed);
  const float largest = logits[best];
  if (!(options_.temperature > 0) || !std::isfinite(largest)) return best;
  scratch_.clear();
  scratch_.reserve(logits.size());
  double total = 0;
  for_allowed(logits.size(), allowed, [&](TokenId id) {
    const float weight = exp_of((logit_or_lowest(logits[id]) - largest) / options_.temperature);
    if (weight < options_.min_p) return;
    scratch_.emplace_back(weight, id);
    total += double{weight};
  });
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
