// What tests/golden/hashes/logits.sha256 holds: a line `<model> <format> <SHA-256>` for every
// version and format, over the bits of all logits of three sessions. Tests only.
#pragma once

#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "common/base/check.h"
#include "common/crypto/sha256.h"
#include "common/env/real/internal/thread_pool.h"
#include "common/model/model.h"
#include "tests/golden/hashes/seeded_model.h"

namespace skein::test {

struct GoldenModelKind {
  const char* name;
  SeededShape shape;
};
inline constexpr GoldenModelKind kGoldenModels[] = {
    {"rwkv4", {.version = Architecture::kRwkv4}},
    {"rwkv5.1", {.version = Architecture::kRwkv5_1, .heads = 4, .head_size = 12}},
    {"rwkv5.2", {.version = Architecture::kRwkv5_2}},
    {"rwkv6", {.version = Architecture::kRwkv6, .heads = 2, .head_size = 20}},
    {"rwkv7", {.version = Architecture::kRwkv7}},
    {"rwkv7-dense", {.heads = 2, .head_size = 32, .value_layout = Layout::kTiles}},
    {"rwkv5.2-factors", {.version = Architecture::kRwkv5_2, .factors = true}},
    {"rwkv7-factors", {.factors = true}}};

inline constexpr Format kGoldenFormats[] = {Format::kF32, Format::kBf16, Format::kF16, Format::kQ8,
                                            Format::kQ6,  Format::kQ5,   Format::kQ4};

// How the same tokens are run.
enum class Passes : unsigned char {
  kSteps,     // a token a pass, the sessions in turn
  kChunks,    // a session after the other, up to 13 tokens a pass
  kTogether,  // all sessions in the same passes
};

class GoldenRun {
 public:
  GoldenRun(const Model& model, Parallel& parallel) : runner_(model, parallel) {
    for (std::size_t i = 0; i < kSessions; ++i) {
      for (TokenId at = 0; at < kLengths[i]; ++at) {
        const auto drawn = static_cast<TokenId>((at * at * 7 + at * 3 + i * 11 + 5));
        tokens_[i].push_back(drawn % SeededModel::kVocab);
      }
      states_[i] = model.initial_state();
      logits_[i].resize(kLengths[i] * SeededModel::kVocab);
    }
  }

  // SHA-256 of the logits after every token, session after session.
  std::string hash(Passes passes) {
    if (passes == Passes::kSteps) run_steps();
    if (passes == Passes::kChunks) run_chunks();
    if (passes == Passes::kTogether) run_together();
    Sha256 sum;
    for (const std::vector<float>& logits : logits_) {
      for (const float value : logits) CHECK(std::isfinite(value));
      sum.add(std::as_bytes(std::span(logits)));
    }
    return sum.finish().hex();
  }

 private:
  static constexpr std::size_t kSessions = 3;
  static constexpr std::array<std::size_t, kSessions> kLengths = {20, 9, 3};
  static constexpr std::size_t kChunk = 13;

  std::span<float> logits_of(std::size_t session, std::size_t first, std::size_t count) {
    return std::span(logits_[session])
        .subspan(first * SeededModel::kVocab, count * SeededModel::kVocab);
  }
  void run_steps() {
    for (std::size_t at = 0; at < kLengths[0]; ++at) {
      for (std::size_t i = 0; i < kSessions; ++i) {
        if (at < kLengths[i]) runner_.step(tokens_[i][at], states_[i], logits_of(i, at, 1));
      }
    }
  }
  void run_chunks() {
    for (std::size_t i = 0; i < kSessions; ++i) {
      for (std::size_t at = 0; at < kLengths[i]; at += kChunk) {
        const std::size_t count = std::min(kChunk, kLengths[i] - at);
        const Feed feed = {std::span(tokens_[i]).subspan(at, count), &states_[i],
                           logits_of(i, at, count)};
        runner_.feed(std::span(&feed, 1));
      }
    }
  }
  void run_together() {
    std::vector<Feed> feeds;
    for (std::size_t i = 0; i < kSessions; ++i) {
      feeds.push_back({tokens_[i], &states_[i], logits_[i]});
    }
    runner_.feed(feeds);
  }

  Runner runner_;
  std::array<std::vector<TokenId>, kSessions> tokens_;
  std::array<RwkvState, kSessions> states_;
  std::array<std::vector<float>, kSessions> logits_;
};

// By the instruction set that is selected, every way of running it: one hash if all is well.
inline std::vector<std::string> golden_hashes(const Model& model, Parallel& three_threads) {
  std::vector<std::string> hashes;
  SerialParallel alone;
  for (Parallel* const parallel : {static_cast<Parallel*>(&alone), &three_threads}) {
    for (const Passes passes : {Passes::kSteps, Passes::kChunks, Passes::kTogether}) {
      hashes.push_back(GoldenRun(model, *parallel).hash(passes));
    }
  }
  return hashes;
}

}  // namespace skein::test
