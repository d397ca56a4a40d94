#include "edge_node/paging/internal/tier_choice.h"

#include <algorithm>

namespace skein::paging {

double token_seconds(double storage_s, double compute_s) {
  constexpr double kNotHidden = 0.5;
  return std::max(storage_s, compute_s) + kNotHidden * std::min(storage_s, compute_s);
}

double TierChoice::token_s() const { return token_seconds(storage_s, compute_s); }

// For every number of pages that memory can hold, as many of them decoded as fit beside the others
// coded: the more are held, the fewer of those.
std::optional<TierChoice> choose_tiers(std::span<const TierPage> pages, std::uint64_t memory,
                                       const TierRates& rates, std::uint32_t least_held) {
  std::uint64_t unread = 0;   // bytes that would be read if nothing were held
  std::uint64_t outside = 0;  // the same pages, decoded
  for (const TierPage& page : pages) {
    unread += page.stored;
    outside += page.decoded;
  }
  std::optional<TierChoice> best;
  std::uint64_t pinned_bytes = 0, coded_bytes = 0;  // of memory
  std::uint64_t kept_coded = 0;                     // the latter's pages, decoded
  std::uint32_t pinned = 0;
  for (std::uint32_t held = 0; held <= pages.size(); ++held) {
    if (held > 0) {
      const TierPage& page = pages[held - 1];
      unread -= page.stored;
      outside -= page.decoded;
      if (pinned + 1 == held) {
        ++pinned;
        pinned_bytes += page.decoded;
      } else {
        coded_bytes += page.coded;
        kept_coded += page.decoded;
      }
      while (pinned_bytes + coded_bytes > memory && pinned > 0) {
        const TierPage& last = pages[--pinned];
        pinned_bytes -= last.decoded;
        coded_bytes += last.coded;
        kept_coded += last.decoded;
      }
      if (pinned_bytes + coded_bytes > memory) break;
    }
    if (held < least_held) continue;
    const auto seconds = [](std::uint64_t bytes, double rate) {
      return bytes == 0 ? 0 : static_cast<double>(bytes) / std::max(rate, 1e-9);
    };
    TierChoice choice;
    choice.pinned = pinned;
    choice.held = held;
    choice.pinned_bytes = pinned_bytes;
    choice.coded_bytes = coded_bytes;
    choice.storage_s = rates.rows_s + seconds(unread, rates.storage);
    const std::uint64_t decoded = kept_coded + (rates.reads_are_coded ? outside : 0);
    choice.compute_s = rates.compute_s + seconds(decoded, kDecodedInPass * rates.coders);
    if (!best || choice.token_s() <= best->token_s()) best = choice;
  }
  return best;
}

}  // namespace skein::paging
