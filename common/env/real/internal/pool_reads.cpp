#include "common/env/real/internal/pool_reads.h"

#include <algorithm>
#include <system_error>

#include "common/env/real/internal/block_engines.h"

namespace skein::real {

PoolReads::~PoolReads() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    queue_.clear();
  }
  begun_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void PoolReads::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    begun_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    const BlockRead read = queue_.front();
    queue_.pop_front();
    lock.unlock();
    Result<void> result = file_.read(read);
    lock.lock();
    done_.push_back({read.tag, std::move(result)});
    finished_.notify_one();
  }
}

// Fewer than wanted will do where the system gives no more, but one there must be.
Result<void> PoolReads::grow(std::size_t wanted) {
  while (threads_.size() < std::min<std::size_t>(wanted, kMostThreads)) {
    try {
      threads_.emplace_back([this] { work(); });
    } catch (const std::system_error& error) {
      if (!threads_.empty()) break;
      return fail(Errc::kOutOfRoom, std::string("no thread can be started: ") + error.what(),
                  file_.path(), "raise the limit of threads (ulimit -u)");
    }
  }
  return {};
}

Result<void> PoolReads::submit(std::span<const BlockRead> reads) {
  TRY_VOID(check_block_reads(*this, reads, waiting_));
  TRY_VOID(grow(waiting_ + reads.size()));
  waiting_ += reads.size();
  {
    const std::lock_guard lock(mutex_);
    queue_.insert(queue_.end(), reads.begin(), reads.end());
  }
  if (reads.size() == 1) {
    begun_.notify_one();
  } else {
    begun_.notify_all();
  }
  return {};
}

std::size_t PoolReads::wait(std::span<BlockReadDone> done, std::size_t at_least,
                            std::chrono::nanoseconds deadline) {
  const std::size_t target = std::min({at_least, waiting_, done.size()});
  const auto until = moment_after(deadline);
  std::unique_lock lock(mutex_);
  finished_.wait_until(lock, until, [&] { return done_.size() >= target; });
  const std::size_t taken = std::min(done.size(), done_.size());
  std::move(done_.begin(), done_.begin() + static_cast<std::ptrdiff_t>(taken), done.begin());
  done_.erase(done_.begin(), done_.begin() + static_cast<std::ptrdiff_t>(taken));
  waiting_ -= taken;
  return taken;
}

}  // namespace skein::real
