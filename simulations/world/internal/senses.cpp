#include "simulations/world/internal/senses.h"

#include <bit>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace skein::sim {

namespace asio = boost::asio;

std::chrono::sys_seconds SimClock::wall_now() const {
  constexpr std::chrono::sys_seconds kBegin = std::chrono::sys_days(std::chrono::year_month_day(
      std::chrono::year(2026), std::chrono::January, std::chrono::day(1)));
  return kBegin + std::chrono::floor<std::chrono::seconds>(core_.now().time_since_epoch());
}

namespace {

// A timer that never expires by itself: the world cancels it when the time has come, the task's
// own cancellation cancels it too, and `woken` tells which it was.
struct Sleep {
  Sleep(Core& c, Instant wake) : core(c), timer(c.loop(), asio::steady_timer::time_point::max()) {
    if (wake == Instant::max()) return;
    key = core.schedule(wake, [this] {
      woken = true;
      timer.cancel();
    });
  }
  ~Sleep() {
    if (!woken) core.cancel(key);
  }
  Sleep(const Sleep&) = delete;
  Sleep& operator=(const Sleep&) = delete;

  Core& core;
  asio::steady_timer timer;
  Core::Key key{Instant::max(), UINT64_MAX};
  bool woken = false;
};

std::uint64_t split_mix(std::uint64_t& state) {
  state += 0x9e3779b97f4a7c15;
  std::uint64_t value = state;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

}  // namespace

Task<void> SimClock::sleep_until(Instant wake) {
  Sleep sleep(core_, wake);
  co_await sleep.timer.async_wait(asio::as_tuple(asio::use_awaitable));
  if (!sleep.woken) throw boost::system::system_error(asio::error::operation_aborted);
}

SimRandom::SimRandom(Core& core, std::string_view name) : core_(core) {
  std::uint64_t state = core.seed() ^ hash_of(as_bytes(name));
  for (std::uint64_t& word : state_) word = split_mix(state);
}

std::uint64_t SimRandom::next() {
  const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const std::uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

void SimRandom::fill(std::span<std::byte> secret) {
  for (std::byte& byte : secret) byte = static_cast<std::byte>(next() >> 56);
}

bool SimRandom::sometimes(std::string_view site) {
  if (core_.plan().rare_sites <= 0 || core_.is_calm()) return false;
  std::uint64_t state = core_.seed() ^ hash_of(as_bytes(site));
  const double place = static_cast<double>(split_mix(state) >> 11) * 0x1.0p-53;
  return place < core_.plan().rare_sites && unit() < core_.plan().rare_fires;
}

Task<void> SimCompute::run(std::function<void()> job, Duration cost) {
  const Duration takes = random_.jitter(cost, core_.plan().compute_jitter);
  clock_.advance_to(std::max(busy_until_, core_.now()));
  job();
  busy_until_ = clock_.now() + takes;
  Task<void> passing = core_.pass_until(busy_until_);
  co_await std::move(passing);
}

void SimLog::write(LogLevel level, std::string_view event, LogFields fields) {
  constexpr std::array<std::string_view, 4> kKinds = {"log.debug", "log.info", "log.warn",
                                                      "log.error"};
  std::string line(event);
  for (const LogField& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    line += field.value;
  }
  core_.trace(epoch_->node, kKinds[static_cast<std::size_t>(level)], line);
}

}  // namespace skein::sim
