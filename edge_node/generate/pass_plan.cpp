#include "edge_node/generate/internal/pass_plan.h"

#include <algorithm>
#include <array>

#include "common/base/check.h"

namespace skein {

void plan_pass(std::span<WaitingFeed> feeds) {
  CHECK(feeds.size() <= kMostRows);
  std::array<std::uint32_t, kMostRows> order{};
  std::uint32_t decoding = 0;
  for (std::uint32_t i = 0; i < feeds.size(); ++i) {
    CHECK(feeds[i].tokens > 0);
    order[i] = i;
    if (feeds[i].tokens == 1) ++decoding;
  }
  // The shortest first: what they do not need of their share goes to the longer ones.
  std::ranges::sort(order.begin(), order.begin() + feeds.size(), [&](auto a, auto b) {
    return feeds[a].tokens != feeds[b].tokens ? feeds[a].tokens < feeds[b].tokens : a < b;
  });
  auto count = static_cast<std::uint32_t>(feeds.size());
  std::uint32_t left = kMostRows;
  if (decoding > 0) left = std::clamp(decoding + kSharedPromptRows, count, kMostRows);
  for (std::uint32_t place = 0; count > 0; ++place, --count) {
    WaitingFeed& feed = feeds[order[place]];
    feed.rows = static_cast<std::uint32_t>(std::min<std::size_t>(feed.tokens, left / count));
    left -= feed.rows;
  }
}

}  // namespace skein
