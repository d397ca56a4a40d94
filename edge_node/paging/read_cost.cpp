#include "edge_node/paging/internal/read_cost.h"

#include <algorithm>
#include <array>

namespace skein::paging {

namespace {

constexpr std::size_t kSmallReads = BlockReads::kMostInFlight;
constexpr std::size_t kLongReads = 16;
constexpr std::uint64_t kLongBytes = std::uint64_t{128} * 1024;
constexpr int kRounds = 3;
constexpr double kLongEnough = 0.1;  // seconds, after which a round is enough

double seconds(Duration time) { return std::chrono::duration<double>(time).count(); }

// Of all of them, from the first's begin to the last's end.
Result<double> time_of(BlockReads& reads, Clock& clock, std::span<const BlockRead> some) {
  const Instant began = clock.now();
  TRY_VOID(reads.submit(some));
  std::array<BlockReadDone, kSmallReads> done;
  for (std::size_t taken = 0; taken < some.size();) {
    const std::size_t got = reads.wait(done, some.size() - taken, kReadDeadline);
    if (got == 0) return silent_storage();
    for (std::size_t i = 0; i < got; ++i) TRY_VOID(done[i].result);
    taken += got;
  }
  return seconds(clock.now() - began);
}

}  // namespace

std::uint64_t ReadCost::gap() const {
  if (byte <= 0) return kUsualGap;
  const double bytes = std::min(each / byte / 3, static_cast<double>(kMostGap));
  return static_cast<std::uint64_t>(std::max(bytes, 0.0));
}

std::uint64_t ReadCost::wide_gap() const {
  if (byte <= 0) return 2 * kUsualGap;
  const double bytes = std::min(each / byte, static_cast<double>(kMostWideGap));
  return std::max(gap(), static_cast<std::uint64_t>(std::max(bytes, 0.0)));
}

Result<ReadCost> measure_reads(BlockReads& reads, Clock& clock, std::span<const RowTable> tables,
                               MutableByteView memory) {
  const std::uint32_t alignment = reads.alignment();
  std::vector<BlockRead> small, large;
  std::uint64_t used = 0;
  for (std::size_t i = 0; i < kSmallReads; ++i) {
    const RowTable& table = tables[i % tables.size()];
    const auto row = static_cast<std::uint32_t>((i * 7919 + 13) % table.rows);
    const WholeRange range(table.offset_of(row), table.row_bytes, alignment);
    if (used + range.size > memory.size()) break;
    small.push_back({range.first, memory.subspan(used, range.size), i});
    used += range.size;
  }
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < kLongReads && (i + 1) * kLongBytes <= memory.size(); ++i) {
    const std::uint64_t offset = tables[i % tables.size()].offset_of(0) / alignment * alignment;
    if (offset + kLongBytes > reads.size()) continue;
    large.push_back({offset, memory.subspan(i * kLongBytes, kLongBytes), i});
    bytes += kLongBytes;
  }
  if (small.size() < kSmallReads / 4 || large.size() < 2) return ReadCost{};
  double best_small = 1e9, best_large = 1e9;
  for (int round = 0; round < kRounds; ++round) {
    TRY(const double one, time_of(reads, clock, small));
    TRY(const double other, time_of(reads, clock, large));
    best_small = std::min(best_small, one);
    best_large = std::min(best_large, other);
    if (one + other > kLongEnough) break;
  }
  // Two equations: count * each + bytes * byte.
  const auto s = static_cast<double>(small.size()), l = static_cast<double>(large.size());
  const double determinant = s * static_cast<double>(bytes) - l * static_cast<double>(used);
  if (best_small <= 0 || best_large <= 0 || determinant <= 0) return ReadCost{};
  ReadCost cost;
  cost.each = (best_small * static_cast<double>(bytes) - best_large * static_cast<double>(used)) /
              determinant;
  cost.byte = (s * best_large - l * best_small) / determinant;
  return cost;
}

}  // namespace skein::paging
