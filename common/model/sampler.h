// Sampler: logits to a token. Owns its random stream, what it remembers of the text, and its
// scratch; one per session.
//
// The stages, in this order; one that its option leaves off costs nothing and changes no bit:
//   1 the allowed tokens: no other is looked at (a NaN counts as minus infinity throughout)
//   2 logit_bias is added
//   3 repetition_penalty p: a logit above 0 is divided by p, one below is multiplied with it, for
//     every token among the last repeat_last_n of the text, the prompt included (CTRL, Keskar 2019)
//   4 frequency_penalty times how often the sampler has picked the token, and presence_penalty once
//     if ever, are taken off (OpenAI)
//   5 temperature divides; 0 ends here: the lowest id among the largest
//   6 min_p: tokens less likely than min_p times the likeliest go
//   7 top_k, then top_p of what is left
//   8 one is drawn by its weight
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"

namespace skein {

struct SamplerOptions {
  float temperature = 1.0F;  // 0 = greedy: the lowest id among the largest logits
  float top_p = 1.0F;        // keep the smallest set of tokens whose probability reaches it
  std::uint32_t top_k = 0;   // 0 = all
  std::uint64_t seed = 0;    // same seed, same logits, same tokens
  float min_p = 0;           // keep what is at least this likely, the likeliest being 1
  float repetition_penalty = 1.0F;
  std::uint32_t repeat_last_n = 64;  // 0 = repetition_penalty is off
  float frequency_penalty = 0;
  float presence_penalty = 0;
  std::vector<std::pair<TokenId, float>> logit_bias = {};  // ids apart from each other
};

struct SamplerRange {
  double least, most;
};
inline constexpr SamplerRange kTemperatureRange{0, 100};
inline constexpr SamplerRange kShareRange{0, 1};  // top_p, min_p
inline constexpr SamplerRange kRepetitionPenaltyRange{0.01, 100};
inline constexpr SamplerRange kPenaltyRange{-2, 2};  // frequency and presence
inline constexpr SamplerRange kLogitBiasRange{-100, 100};
inline constexpr std::uint32_t kMaxRepeatLastN = 65536;
inline constexpr std::size_t kMaxLogitBias = 1024;

// The most that a Sampler of these keeps, for each token of the vocabulary.
std::uint32_t sampler_bytes(const SamplerOptions& options);

// Errc::kUsage naming the first option that is out of its range, or a biased token that a
// vocabulary of `vocab` tokens lacks.
Result<void> check(const SamplerOptions& options, std::uint32_t vocab);

class Sampler {
 public:
  explicit Sampler(const SamplerOptions& options);  // checked
  // Tokens of the text that were not picked here: the prompt.
  void read(std::span<const TokenId> ids);
  // How many of the largest logits the next pick looks at, where every token is allowed; 0: all.
  // The others may then be minus infinity, and the pick is the same.
  std::uint32_t most() const;
  // The next token, out of those `allowed` (at least one of the logits'; empty: out of all).
  TokenId pick(std::span<const float> logits, TokenMask allowed = {});

 private:
  bool adjusts() const;
  std::span<const float> adjusted(std::span<const float> logits, TokenMask allowed);
  void remember(TokenId id);
  TokenId draw(std::span<const float> logits, TokenMask allowed);

  SamplerOptions options_;
  std::uint64_t random_state_;
  std::vector<std::pair<float, TokenId>> scratch_;
  std::vector<float> adjusted_;
  std::vector<TokenId> window_;  // the last repeat_last_n, as a ring
  std::size_t window_at_ = 0;
  std::vector<std::uint32_t> in_window_;  // by id
  std::vector<std::uint32_t> picked_;     // by id: how often
};

}  // namespace skein
