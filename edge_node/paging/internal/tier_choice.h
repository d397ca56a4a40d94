// choose_tiers: which pages stay in memory decoded, which stay there coded, and which are read for
// every token. Pure; any thread.
//
// The speed-adaptive rule (Double Compression, arXiv 2502.15443; METHODS 2.3): reads overlap with
// computing, though never wholly, so a token takes as long as the slower of these and a part of the
// other:
//   storage:  bytes that are not in memory / what storage delivers
//   compute:  all bytes / what memory delivers + decoded bytes / what the coders deliver, in a
//            pass.
// A page kept coded takes less memory than a decoded one, so that more of them are kept, and costs
// decoding. Where storage is slower than the coders, coded pages win until both take as long.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace skein::paging {

// Of the coders' rate, which is one page's over and over, in the cache (0.63 to 0.9 were seen).
inline constexpr double kDecodedInPass = 0.75;

struct TierPage {
  std::uint32_t decoded = 0;  // bytes in memory
  std::uint32_t coded = 0;    // bytes in memory, coded; as many: it is not kept so
  std::uint32_t stored = 0;   // bytes read when it is not in memory
};

struct TierRates {
  double storage = 0;            // bytes a second
  double rows_s = 0;             // of a token, for reads that are no pages
  double coders = 0;             // decoded bytes a second, of all coders
  double compute_s = 0;          // of a token, whatever the tiers
  bool reads_are_coded = false;  // what is read must be decoded
};

struct TierChoice {
  std::uint32_t pinned = 0;        // the first pages are decoded in memory ...
  std::uint32_t held = 0;          // ... the next ones, up to here, coded; the others are read
  std::uint64_t pinned_bytes = 0;  // of memory
  std::uint64_t coded_bytes = 0;   // likewise
  double storage_s = 0;
  double compute_s = 0;
  double token_s() const;
};

// What storage and computing take together: half of the faster one is not hidden behind the other
// (measured from 3 to 230 ms of it: internal/TIERS.md).
double token_seconds(double storage_s, double compute_s);

// `pages` in the order in which they are worth keeping. Takes at most `memory` bytes; of equally
// fast choices that which reads least. Nothing where not even `least_held` pages fit.
std::optional<TierChoice> choose_tiers(std::span<const TierPage> pages, std::uint64_t memory,
                                       const TierRates& rates, std::uint32_t least_held = 0);

}  // namespace skein::paging
