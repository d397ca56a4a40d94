#include <algorithm>

#include "common/env/pressure/internal/parts.h"
#include "common/env/pressure/internal/text.h"

namespace skein::pressure {

namespace {

constexpr int kMostTrips = 16;

Heat heat_of(std::string_view trip) {  // "active" only turns a fan on
  if (trip == "passive") return Heat::kWarm;
  if (trip == "hot") return Heat::kHot;
  return trip == "critical" ? Heat::kCritical : Heat::kCool;
}

std::optional<std::int64_t> read_degrees(TextFiles& files, const std::string& path) {
  const auto text = files.read(path);
  return text ? only_number<std::int64_t>(*text) : std::nullopt;  // thousandths
}

Heat heat_of_zone(TextFiles& files, const std::string& zone) {
  const auto now = read_degrees(files, zone + "/temp");
  if (!now) return Heat::kCool;  // the sensor sleeps
  Heat worst = Heat::kCool;
  for (int i = 0; i < kMostTrips; ++i) {
    const std::string trip = zone + "/trip_point_" + std::to_string(i);
    const auto type = files.read(trip + "_type");
    if (!type) break;
    const auto at = read_degrees(files, trip + "_temp");
    if (!at || *at <= 0 || *now < *at) continue;  // zero and below: switched off
    std::string_view words = *type;
    worst = std::max(worst, heat_of(next_word(words)));
  }
  return worst;
}

}  // namespace

Heat read_heat(TextFiles& files) {
  const std::string folder = "/sys/class/thermal";
  Heat worst = Heat::kCool;
  for (const std::string& name : files.names(folder)) {
    if (!name.starts_with("thermal_zone")) continue;
    worst = std::max(worst, heat_of_zone(files, folder + "/" + name));
  }
  return worst;
}

void read_battery(TextFiles& files, Pressure& out) {
  const std::string folder = "/sys/class/power_supply";
  const auto word = [&](const std::string& supply, const char* file) {
    const std::string text = files.read(folder + "/" + supply + file).value_or("");
    std::string_view rest = text;
    return std::string(next_word(rest));
  };
  bool emptied = false;
  bool charger = false;
  unsigned sum = 0;
  unsigned count = 0;
  for (const std::string& supply : files.names(folder)) {
    const std::string type = word(supply, "/type");
    if (type.empty() || word(supply, "/scope") == "Device") continue;  // a mouse has its own
    if (type != "Battery") {
      charger = charger || word(supply, "/online") == "1";
      continue;
    }
    emptied = emptied || word(supply, "/status") == "Discharging";
    const auto percent = number<unsigned>(word(supply, "/capacity"));
    if (!percent || *percent > 100) continue;
    sum += *percent;
    ++count;
  }
  out.on_battery = emptied && !charger;
  if (count > 0) out.battery_percent = sum / count;
}

}  // namespace skein::pressure
