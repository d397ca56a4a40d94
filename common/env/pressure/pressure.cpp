#include "common/env/pressure/pressure.h"

#include <limits>

#include "common/env/pressure/internal/parts.h"
#include "common/env/pressure/internal/text.h"

namespace skein {

Pressure read_pressure(TextFiles& files) {
  Pressure out;
  if (const auto text = files.read("/proc/pressure/memory")) {
    out.machine_stalls = pressure::parse_stalls(*text);
  }
  if (const auto text = files.read("/proc/meminfo")) {
    const auto kilobytes = pressure::number_after(*text, "MemAvailable:");
    if (kilobytes && *kilobytes <= std::numeric_limits<std::uint64_t>::max() / 1024) {
      out.available_bytes = *kilobytes * 1024;
    }
  }
  pressure::read_group(files, out);
  out.heat = pressure::read_heat(files);
  pressure::read_battery(files, out);
  return out;
}

}  // namespace skein
