#include "simulations/world/internal/sim_pressure.h"

#include <algorithm>

namespace skein::sim {

namespace {

constexpr std::uint64_t kMega = 1'000'000;
constexpr std::uint64_t kLimit = 1024 * kMega;
constexpr std::uint64_t kUsed = 256 * kMega;
constexpr std::uint64_t kAvailable = 4096 * kMega;

Duration scaled(Duration duration, double share) {
  return Duration(static_cast<Duration::rep>(static_cast<double>(duration.count()) * share));
}

std::uint64_t share_of(std::uint64_t bytes, double share) {
  return static_cast<std::uint64_t>(static_cast<double>(bytes) * share);
}

}  // namespace

void SimPressure::draw_next() {
  const double minutes = 2.0 * random_.unit() / core_.plan().squeezes_per_minute;
  spell_.begin = spell_.end + scaled(std::chrono::minutes(1), minutes);
  spell_.end = spell_.begin + scaled(core_.plan().longest_squeeze, random_.unit());
  const std::uint64_t kind = random_.below(4);
  spell_.memory = kind != 1 && kind != 2;
  spell_.hot = kind == 1 || kind == 3;
  spell_.battery = kind == 2;
  spell_.severity = random_.unit();
}

Pressure SimPressure::sample() {
  if (planted_) return *planted_;
  Pressure out;
  out.machine_stalls = StallTimes{};
  out.group = GroupMemory{kLimit, kUsed, 0, 0};
  out.available_bytes = kAvailable;
  out.battery_percent = 80;
  if (core_.plan().squeezes_per_minute <= 0) return out;

  const Instant now = std::min(core_.now(), core_.plan().calm_from);
  const auto stalled_until = [&](Instant until) {
    return spell_.memory ? scaled(until - spell_.begin, spell_.severity / 2) : Duration{0};
  };
  while (spell_.end <= now) {
    stalled_ += stalled_until(spell_.end);
    draw_next();
  }
  Duration stalled = stalled_;
  if (spell_.begin <= now) {
    stalled += stalled_until(now);
    if (!core_.is_calm()) {
      if (spell_.memory) {
        out.machine_stalls->some_share = spell_.severity / 2;
        out.group->used_bytes = kLimit - share_of(kLimit, 1 - spell_.severity) / 16;
        out.available_bytes = share_of(kAvailable, 1 - spell_.severity) / 16;
      }
      if (spell_.hot) out.heat = spell_.severity > 0.9 ? Heat::kCritical : Heat::kHot;
      out.on_battery = spell_.battery;
      if (spell_.battery) out.battery_percent = 10;
    }
  }
  out.machine_stalls->some = std::chrono::duration_cast<std::chrono::microseconds>(stalled);
  return out;
}

}  // namespace skein::sim
