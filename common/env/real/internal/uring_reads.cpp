#include "common/env/real/internal/uring_reads.h"

#include <algorithm>
#include <thread>

#include "common/base/check.h"
#include "common/env/real/internal/block_engines.h"

namespace skein::real {

void Ring::Close::operator()(io_uring* ring) const {
  ::io_uring_queue_exit(ring);
  delete ring;
}

Result<Ring> Ring::make() {
  auto fresh = std::make_unique<io_uring>();
  const int error = ::io_uring_queue_init(BlockReads::kMostInFlight, fresh.get(), 0);
  if (error < 0) {
    Error refused = errno_error("io_uring cannot be used", "SKEIN_IO", -error);
    return fail(Errc::kUnsupported, refused.what, refused.where, "use SKEIN_IO=pread");
  }
  Ring ring;
  ring.ring_.reset(fresh.release());
  if ((ring->features & IORING_FEAT_EXT_ARG) == 0) {
    return fail(Errc::kUnsupported, "this kernel's io_uring is too old", "SKEIN_IO",
                "use SKEIN_IO=pread, or a kernel from 5.11 on");
  }
  return ring;
}

UringReads::UringReads(BlockFile file, Ring ring) : file_(std::move(file)), ring_(std::move(ring)) {
  for (std::uint32_t slot = kMostInFlight; slot > 0; --slot) free_.push_back(slot - 1);
}

// The kernel writes into the callers' memory until the last read is back.
UringReads::~UringReads() {
  while (at_device_ > 0) {
    io_uring_cqe* entry = nullptr;
    if (::io_uring_wait_cqe(ring_.get(), &entry) != 0) continue;
    ::io_uring_cqe_seen(ring_.get(), entry);
    --at_device_;
  }
}

Result<void> UringReads::submit(std::span<const BlockRead> reads) {
  TRY_VOID(check_block_reads(*this, reads, waiting()));
  queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(begun_));
  begun_ = 0;
  queue_.insert(queue_.end(), reads.begin(), reads.end());
  begin_queued();
  return {};
}

// All that there is room for goes to the kernel in one call.
void UringReads::begin_queued() {
  while (queued() > 0 && !free_.empty()) {
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    slots_[slot] = BlockProgress{.read = queue_[begun_++]};
    prepare(slot);
  }
  enter();
}

void UringReads::prepare(std::uint32_t slot) {
  const BlockProgress& progress = slots_[slot];
  constexpr std::size_t kMostAtOnce = 1U << 30;  // the kernel counts in 32 bits
  const MutableByteView out = progress.read.out.subspan(progress.filled);
  const MutableByteView rest = out.first(std::min(out.size(), kMostAtOnce));
  io_uring_sqe* entry = ::io_uring_get_sqe(ring_.get());
  CHECK(entry != nullptr);  // the ring has a place for each slot
  ::io_uring_prep_read(entry, file_.fd(), rest.data(), static_cast<unsigned>(rest.size()),
                       progress.read.offset + progress.filled);
  entry->user_data = slot;
}

// What the kernel does not take now (it is short of memory) stays in the ring for the next time.
void UringReads::enter() {
  if (::io_uring_sq_ready(ring_.get()) == 0) return;
  const int taken = ::io_uring_submit(ring_.get());
  if (taken > 0) at_device_ += static_cast<std::size_t>(taken);
}

// What has ended and `done` has room for; the number.
std::size_t UringReads::reap(std::span<BlockReadDone> done) {
  std::size_t taken = 0;
  io_uring_cqe* entry = nullptr;
  while (taken < done.size() && ::io_uring_peek_cqe(ring_.get(), &entry) == 0) {
    const auto slot = static_cast<std::uint32_t>(entry->user_data);
    const std::int64_t got = entry->res;
    ::io_uring_cqe_seen(ring_.get(), entry);
    --at_device_;
    taken += finish(slot, got, done[taken]) ? 1 : 0;
  }
  return taken;
}

// False: the rest of it must be read.
bool UringReads::finish(std::uint32_t slot, std::int64_t got, BlockReadDone& done) {
  Result<bool> whole = file_.advance(slots_[slot], got);
  if (whole && !*whole) {
    prepare(slot);
    return false;
  }
  done.tag = slots_[slot].read.tag;
  done.result = {};
  if (!whole) done.result = tl::unexpected<Error>(std::move(whole.error()));
  free_.push_back(slot);
  return true;
}

void UringReads::sleep_until_done(std::size_t wanted, std::chrono::nanoseconds most) {
  if (at_device_ == 0) {
    constexpr std::chrono::nanoseconds kPause = std::chrono::milliseconds(1);
    std::this_thread::sleep_for(std::min(most, kPause));
    return;
  }
  const auto seconds = std::chrono::floor<std::chrono::seconds>(most);
  __kernel_timespec time{.tv_sec = seconds.count(), .tv_nsec = (most - seconds).count()};
  // While others queue for the device, half of what it has keeps it busy until they are begun.
  const std::size_t ends =
      std::min(wanted, queued() == 0 ? at_device_ : std::max<std::size_t>(1, at_device_ / 2));
  io_uring_cqe* entry = nullptr;
  ::io_uring_wait_cqes(ring_.get(), &entry, static_cast<unsigned>(ends), &time, nullptr);
}

std::size_t UringReads::wait(std::span<BlockReadDone> done, std::size_t at_least,
                             std::chrono::nanoseconds deadline) {
  const std::size_t target = std::min({at_least, waiting(), done.size()});
  const auto until = moment_after(deadline);
  for (std::size_t taken = 0;;) {
    taken += reap(done.subspan(taken));
    begin_queued();
    if (taken >= target) return taken;
    const auto left = until - std::chrono::steady_clock::now();
    if (left <= left.zero()) return taken;
    sleep_until_done(target - taken, left);
  }
}

}  // namespace skein::real
