#include "simulations/world/fault_plan.h"

#include <array>
#include <cmath>
#include <functional>

namespace skein {

namespace {

Duration seconds(double value) {
  return Duration(static_cast<Duration::rep>(std::llround(value * 1e9)));
}

struct Setting {
  std::string_view name;
  void (*set)(FaultPlan&, double);
  double most = 1;
};

constexpr double kLargest = 1e15;
constexpr double kLongest = 1e9;  // seconds; thirty years

constexpr auto kSettings = std::to_array<Setting>({
    {"calm_from_s", [](FaultPlan& p, double v) { p.calm_from = Instant(seconds(v)); }, kLongest},
    {"latency_ms", [](FaultPlan& p, double v) { p.link.latency = seconds(v / 1e3); }, kLongest},
    {"jitter", [](FaultPlan& p, double v) { p.link.jitter = v; }},
    {"bytes_per_second", [](FaultPlan& p, double v) { p.link.bytes_per_second = v; }, kLargest},
    {"loss", [](FaultPlan& p, double v) { p.link.loss = v; }},
    {"stream_reset", [](FaultPlan& p, double v) { p.stream_reset = v; }},
    {"short_read", [](FaultPlan& p, double v) { p.short_read = v; }},
    {"cuts_per_minute", [](FaultPlan& p, double v) { p.cuts_per_minute = v; }, 60'000},
    {"longest_cut_s", [](FaultPlan& p, double v) { p.longest_cut = seconds(v); }, kLongest},
    {"patience_s", [](FaultPlan& p, double v) { p.patience = seconds(v); }, kLongest},
    {"disk_latency_ms", [](FaultPlan& p, double v) { p.disk_latency = seconds(v / 1e3); },
     kLongest},
    {"disk_bytes_per_second", [](FaultPlan& p, double v) { p.disk_bytes_per_second = v; },
     kLargest},
    {"read_error", [](FaultPlan& p, double v) { p.read_error = v; }},
    {"write_error", [](FaultPlan& p, double v) { p.write_error = v; }},
    {"bit_rot", [](FaultPlan& p, double v) { p.bit_rot = v; }},
    {"slow_block", [](FaultPlan& p, double v) { p.slow_block = v; }},
    {"stalled_block", [](FaultPlan& p, double v) { p.stalled_block = v; }},
    {"longest_stall_s", [](FaultPlan& p, double v) { p.longest_stall = seconds(v); }, kLongest},
    {"lying_block", [](FaultPlan& p, double v) { p.lying_block = v; }},
    {"short_block", [](FaultPlan& p, double v) { p.short_block = v; }},
    {"kept_write", [](FaultPlan& p, double v) { p.kept_write = v; }},
    {"torn_write", [](FaultPlan& p, double v) { p.torn_write = v; }},
    {"disk_bytes", [](FaultPlan& p, double v) { p.disk_bytes = static_cast<std::uint64_t>(v); },
     kLargest},
    {"squeezes_per_minute", [](FaultPlan& p, double v) { p.squeezes_per_minute = v; }, 60},
    {"longest_squeeze_s", [](FaultPlan& p, double v) { p.longest_squeeze = seconds(v); }, kLongest},
    {"compute_jitter", [](FaultPlan& p, double v) { p.compute_jitter = v; }},
    {"rare_sites", [](FaultPlan& p, double v) { p.rare_sites = v; }},
    {"rare_fires", [](FaultPlan& p, double v) { p.rare_fires = v; }},
});

}  // namespace

Result<void> set_fault(FaultPlan& plan, std::string_view name, double value) {
  for (const Setting& setting : kSettings) {
    if (setting.name != name) continue;
    const bool rate = name.ends_with("bytes_per_second");
    if (!(value >= 0 && value <= setting.most) || (rate && value < 1)) {
      return fail(Errc::kUsage, "the fault is out of its range", std::string(name),
                  "give a number from 0 to " + std::to_string(setting.most));
    }
    setting.set(plan, value);
    return {};
  }
  std::string known;
  for (const std::string_view each : fault_names()) {
    known += known.empty() ? "" : ", ";
    known += each;
  }
  return fail(Errc::kUsage, "no such fault", std::string(name), "use one of " + known);
}

std::vector<std::string_view> fault_names() {
  std::vector<std::string_view> names;
  for (const Setting& setting : kSettings) names.push_back(setting.name);
  return names;
}

}  // namespace skein
