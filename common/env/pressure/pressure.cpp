#include "common/env/pressure/pressure.h"

#include <limits>

#include "common/env/pressure/internal/parts.h"
#include "common/env/pressure/internal/text.h"

namespace skein {

namespace {

std::optional<std::uint64_t> bytes_after(std::string_view text, std::string_view key) {
  const auto kilobytes = pressure::number_after(text, key);
  if (!kilobytes || *kilobytes > std::numeric_limits<std::uint64_t>::max() / 1024) return {};
  return *kilobytes * 1024;
}

}  // namespace

Pressure read_pressure(TextFiles& files) {
  Pressure out;
  if (const auto text = files.read("/proc/pressure/memory")) {
    out.machine_stalls = pressure::parse_stalls(*text);
  }
  if (const auto text = files.read("/proc/meminfo")) {
    out.available_bytes = bytes_after(*text, "MemAvailable:");
  }
  if (const auto text = files.read("/proc/self/status")) {
    const auto resident = bytes_after(*text, "VmRSS:");
    const auto peak = bytes_after(*text, "VmHWM:");
    if (resident && peak) out.process = ProcessMemory{*resident, *peak};
  }
  pressure::read_group(files, out);
  out.heat = pressure::read_heat(files);
  pressure::read_battery(files, out);
  return out;
}

// Some task waited for memory a tenth of two seconds: what the policy shrinks at, in the window
// that the kernel lets everybody ask for.
std::vector<PressureTrigger> pressure_triggers(TextFiles& files) {
  constexpr const char* kTenth = "some 200000 2000000";
  std::vector<PressureTrigger> all = {{"/proc/pressure/memory", kTenth}};
  const auto cgroup = files.read("/proc/self/cgroup");
  const auto mounts = files.read("/proc/self/mountinfo");
  if (!cgroup || !mounts) return all;
  const auto place = pressure::parse_group_place(*cgroup, *mounts);
  if (!place || !place->v2) return all;
  const std::string group = place->mount + place->below;
  all.push_back({group + "/memory.pressure", kTenth});
  all.push_back({group + "/memory.events", ""});
  return all;
}

}  // namespace skein
