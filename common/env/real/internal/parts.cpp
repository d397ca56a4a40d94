#include "common/env/real/internal/parts.h"

#include <openssl/rand.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <thread>

#include "common/base/check.h"

namespace skein::real {

namespace asio = boost::asio;

Instant RealClock::now() const {
  return Instant(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - began_));
}

std::chrono::sys_seconds RealClock::wall_now() const {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

Task<void> RealClock::sleep_until(Instant wake) {
  const auto farthest = Instant(
      std::chrono::duration_cast<Duration>(std::chrono::steady_clock::time_point::max() - began_));
  asio::steady_timer timer(loop_, began_ + std::min(wake, farthest).time_since_epoch());
  co_await timer.async_wait(asio::use_awaitable);
}

// The system wakes a thread some 60 us late; the last stretch is spent looking at the clock.
void RealBlockingClock::sleep_until(Instant wake) {
  constexpr Duration kLate = std::chrono::microseconds(80);
  const Duration left = wake - now();
  if (left > kLate) std::this_thread::sleep_for(left - kLate);
  while (now() < wake) std::this_thread::yield();
}

std::uint64_t RealRandom::next() {
  if (used_ == block_.size()) {
    fill(std::as_writable_bytes(std::span(block_)));
    used_ = 0;
  }
  return block_[used_++];
}

void RealRandom::fill(std::span<std::byte> secret) {
  // Without randomness no key may be made; going on would be worse than stopping.
  CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(secret.data()),
                   static_cast<int>(secret.size())) == 1);
}

}  // namespace skein::real
