// PassPlan: how the rows of one pass over the weights are shared among the sessions that wait.
// Pure.
//
// Everybody who waits gets at least one row, so that a decoded token never waits for more than the
// pass under way. Prompts share what is left evenly (max-min fair: a short one is not held up by a
// long one), and take few rows while others decode: a pass's time grows with its rows, and it is
// the time between two tokens of those others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "common/model/model.h"

namespace skein {

inline constexpr std::uint32_t kSharedPromptRows = 16;  // of all prompts, beside decoded tokens

struct WaitingFeed {
  std::size_t tokens = 0;  // left to feed, at least one
  std::uint32_t rows = 0;  // of the next pass: filled in
};

// At most kMostRows feeds; their rows are at most kMostRows.
void plan_pass(std::span<WaitingFeed> feeds);

}  // namespace skein
