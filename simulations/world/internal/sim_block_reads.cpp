#include "simulations/world/internal/sim_block_reads.h"

#include <algorithm>

namespace skein::sim {

void SimBlockReads::trace(std::string_view kind, std::uint64_t offset) {
  device_.core.trace(device_.epoch->node, kind, path_ + " " + std::to_string(offset));
}

// What comes on top of an ordinary read's time.
Duration SimBlockReads::delay() {
  const FaultPlan& plan = device_.core.plan();
  if (strikes(plan.stalled_block)) {
    ++device_.counters.stalled;
    const double share = device_.random.unit();
    return Duration(
        static_cast<Duration::rep>(share * static_cast<double>(plan.longest_stall.count())));
  }
  if (!strikes(plan.slow_block)) return Duration{0};
  ++device_.counters.slow;
  constexpr std::uint64_t kSlowest = 100;
  return plan.disk_latency * static_cast<Duration::rep>(1 + device_.random.below(kSlowest));
}

Result<void> SimBlockReads::submit(std::span<const BlockRead> reads) {
  if (!device_.epoch->alive) return tl::unexpected<Error>(dead_epoch_error(*device_.epoch));
  TRY_VOID(check_block_reads(*this, reads, out_.size()));
  const Instant now = device_.clock.now();
  for (const BlockRead& read : reads) {
    out_.emplace(std::pair{device_.model.finish(now, read.out.size(), delay()), number_++}, read);
  }
  return {};
}

// At the end of its time: what the file holds then is what is read.
Result<void> SimBlockReads::carry_out(const BlockRead& read) {
  const FaultPlan& plan = device_.core.plan();
  BlockCounters& counters = device_.counters;
  if (!device_.epoch->alive) return tl::unexpected<Error>(dead_epoch_error(*device_.epoch));
  ++counters.reads;
  counters.bytes += read.out.size();
  const std::string place = "byte " + std::to_string(read.offset);
  if (strikes(plan.read_error)) {
    ++counters.failed;
    return fail(Errc::kInput, "the disk failed at " + place + ": Input/output error", path_,
                "check the disk and the system log");
  }
  const ByteView file(inode_->current);
  const std::uint64_t right =
      std::min<std::uint64_t>(read.out.size(), size_ - std::min(size_, read.offset));
  const std::uint64_t there = std::min<std::uint64_t>(
      right, file.size() - std::min<std::uint64_t>(file.size(), read.offset));
  if (there < right || strikes(plan.short_block)) {
    ++counters.cut_short;
    return fail(Errc::kCorrupt, "the file ends too early in a read at " + place, path_,
                "it is shorter than it should be; fetch it again");
  }
  if (there > 0) std::ranges::copy(file.subspan(read.offset, there), read.out.begin());
  std::fill(read.out.begin() + static_cast<std::ptrdiff_t>(there), read.out.end(), std::byte{});
  if (there > 0 && strikes(plan.lying_block)) {
    ++counters.lied;
    const std::uint64_t bit = device_.random.below(there * 8);
    read.out[bit / 8] ^= std::byte{static_cast<unsigned char>(1U << (bit % 8))};
    trace("disk.lie", read.offset + bit / 8);
  }
  return {};
}

std::size_t SimBlockReads::wait(std::span<BlockReadDone> done, std::size_t at_least,
                                std::chrono::nanoseconds deadline) {
  const std::size_t target = std::min({at_least, out_.size(), done.size()});
  JobClock& clock = device_.clock;
  if (target > 0) {
    const Instant wanted =
        std::next(out_.begin(), static_cast<std::ptrdiff_t>(target) - 1)->first.first;
    const auto most = std::max(deadline, std::chrono::nanoseconds{0});
    const bool in_time = wanted <= clock.now() || wanted - clock.now() <= most;
    clock.advance_to(in_time ? wanted : clock.now() + most);
  }
  std::size_t taken = 0;
  while (taken < done.size() && !out_.empty() && out_.begin()->first.first <= clock.now()) {
    const BlockRead read = out_.begin()->second;
    out_.erase(out_.begin());
    done[taken++] = {read.tag, carry_out(read)};
  }
  return taken;
}

}  // namespace skein::sim
