// MemoryAccount: what a process needs besides the big matrices. Pure; lives while a plan is made.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "edge_node/paging/residency_plan.h"

namespace skein::paging {

class MemoryAccount {
 public:
  static constexpr std::uint64_t kBytesAPlace = 8;  // beside a kept row's bytes: whose it is
  static constexpr std::uint64_t kHashBytes = 16;   // of a row
  static constexpr std::uint64_t kMemoryPage = 4096;

  static std::uint64_t aligned(std::uint64_t bytes) {
    return (bytes + kMemoryPage - 1) / kMemoryPage * kMemoryPage;
  }

  MemoryAccount(const Manifest& manifest, const ResidencyRequest& request);

  // A tensor that stays with its pages, which it shares with others.
  void pin_page_of(const TensorEntry& tensor);
  // The head's screen, which else is left out.
  void hold_screen();
  // Longer passes, where a budget is so much above the least.
  void widen(std::uint64_t surplus);

  std::uint64_t coder_bytes() const { return coder_bytes_; }  // of one that decodes
  std::uint64_t fixed() const;                                // with most_rows() rows a pass
  std::uint64_t least() const;                                // before widen()
  // Of it, what belongs to the model, not to its pages, and stays when they are given back.
  std::uint64_t left_behind() const {
    return vectors_ + embedding_ + tokenizer_ + scratch(rows_) + screen_of_model_;
  }
  std::vector<MemoryShare> fixed_shares() const;
  std::uint32_t most_rows() const { return rows_; }
  // Of pages that are read together, where reads begin and end elsewhere than pages.
  template <class Candidates>
  std::uint64_t pinned_slack(const Candidates& candidates) const {
    std::uint64_t slack = 0;
    for (const auto& candidate : candidates) slack += slack_of(candidate.tensor);
    return slack;
  }
  // Once something is paged: what neuron-major matrices need a row, and states a copy.
  template <class Candidates>
  std::uint64_t paging_overhead(const Candidates& values) const {
    std::uint64_t bytes = state_bytes_ * request_.sessions;
    for (const auto& value : values) bytes += row_overhead(value.tensor);
    const std::uint64_t each = !values.empty() ? 96 : request_.coded ? 32 : 0;
    return bytes + each * manifest_.config.ffn_width;
  }

 private:
  std::uint64_t slack_of(std::uint32_t tensor) const;
  std::uint64_t row_overhead(std::uint32_t tensor) const;
  std::uint64_t scratch(std::uint32_t rows) const;

  const Manifest& manifest_;
  const ResidencyRequest& request_;
  std::vector<bool> pinned_pages_;
  std::uint64_t screen_of_model_ = 0, screen_pages_ = 0;
  std::uint64_t pinned_ = 0, vectors_ = 0, tables_ = 0, state_bytes_ = 0, answers_ = 0;
  std::uint64_t embedding_ = 0, tokenizer_ = 0, reserve_ = 0, scratch_ = 0, coder_bytes_ = 0;
  std::uint32_t rows_ = 0;
  bool is_ordered_ = false;  // the head's rows are not in the order of tokens
};

}  // namespace skein::paging
