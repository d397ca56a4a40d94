#include "edge_node/paging/internal/page_order.h"

#include <algorithm>
#include <tuple>

#include "edge_node/paging/internal/stored_pages.h"

namespace skein::paging {

namespace {

// Bytes of the head that storage delivers meanwhile.
double read_beside(const ResidencyRequest& request, double head_bytes) {
  const PagingRates& rates = request.rates;
  const bool decodes = request.coded || request.coded_share > 0;
  const double coders = kDecodedInPass * rates.coder * std::max(1U, request.threads);
  const double multiplied = decodes ? std::min(coders, rates.memory) : rates.memory;
  return head_bytes * rates.storage / std::max(multiplied, 1.0);
}

}  // namespace

Rank rank_of(std::string_view name, bool holds_screen) {
  if (name == "head.weight") return holds_screen ? Rank::kScreenedHead : Rank::kHead;
  const bool mixes_channels =
      name.ends_with("ffn.key.weight") || name.ends_with("ffn.value.weight");
  if (mixes_channels) return Rank::kChannelMix;
  return name.ends_with(".weight") ? Rank::kTimeMix : Rank::kSmall;
}

std::vector<std::pair<PagePlace, TierPage>> order_pages(const Manifest& manifest,
                                                        const ResidencyRequest& request,
                                                        std::span<const Candidate> dense,
                                                        const ScreenedHead& screened) {
  std::vector<std::pair<PagePlace, TierPage>> all;
  for (const Candidate& candidate : dense) {
    const auto& segments = manifest.tensors[candidate.tensor].segments;
    const auto matrix = static_cast<double>(candidate.bytes);
    const double first_beside =
        candidate.rank == Rank::kHead ? matrix - read_beside(request, matrix) : matrix;
    for (std::size_t i = 0; i < segments.size(); ++i) {
      const std::uint32_t index = segments[i].page;
      const double depth = (static_cast<double>(i) + 0.5) / static_cast<double>(segments.size());
      const std::uint32_t bytes = manifest.pages[index].bytes;
      const std::uint32_t stored = stored_bytes_of(manifest, request, index);
      TierPage page = {bytes, stored, stored};
      if (request.coded) {
        page.decoded = static_cast<std::uint32_t>(page_aligned(bytes));
        page.coded = static_cast<std::uint32_t>(page_aligned(stored));
      }
      const Rank rank = depth * matrix > first_beside ? Rank::kHeadBeside : candidate.rank;
      const double read = rank == Rank::kScreenedHead ? screened.share_read(index) : 1;
      page.stored = static_cast<std::uint32_t>(read * stored);
      all.push_back({{candidate.tensor, rank, depth, read, all.size()}, page});
    }
  }
  std::ranges::sort(all, {}, [](const auto& each) {
    return std::tuple(each.first.rank, each.first.depth, each.first.number);
  });
  return all;
}

}  // namespace skein::paging
