// order_pages: which pages of the matrices that a plan decides about are worth keeping most. Pure.
//
// What is kept first, and last what is read first: pages of one big matrix a layer, the first ones
// of each in turn, so that reads are spread over the whole pass, and they and computing overlap
// with few buffers. Before those so much of the head as storage delivers while it is multiplied:
// there are no rows to be read beside it. A head whose screen is held is read least of all.
#pragma once

#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "edge_node/paging/internal/screened_head.h"
#include "edge_node/paging/internal/tier_choice.h"
#include "edge_node/paging/residency_plan.h"

namespace skein::paging {

enum class Rank : unsigned char {
  kSmall,
  kTimeMix,
  kHead,
  kChannelMix,
  kHeadBeside,  // read while the rest of the head is multiplied
  kScreenedHead
};
Rank rank_of(std::string_view name, bool holds_screen);

// A matrix with pages of its own, or a neuron-major one by rows.
struct Candidate {
  std::uint32_t tensor = 0;
  Rank rank = Rank::kSmall;
  std::uint64_t bytes = 0;
};

struct PagePlace {
  std::uint32_t tensor = 0;
  Rank rank = Rank::kSmall;
  double depth = 0;        // in its matrix, 0 to 1
  double read = 1;         // of it, for a token, when it is not in memory
  std::size_t number = 0;  // in the order of use
};

// All pages of `dense`, best first.
std::vector<std::pair<PagePlace, TierPage>> order_pages(const Manifest& manifest,
                                                        const ResidencyRequest& request,
                                                        std::span<const Candidate> dense,
                                                        const ScreenedHead& screened);

}  // namespace skein::paging
