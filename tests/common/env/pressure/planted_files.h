// Text files of a machine that a test makes up.
#pragma once

#include <map>

#include "common/env/pressure/pressure.h"

namespace skein::test {

class PlantedFiles final : public TextFiles {
 public:
  PlantedFiles& put(const std::string& path, std::string text) {
    files[path] = std::move(text);
    return *this;
  }
  std::optional<std::string> read(const std::string& path) override {
    ++reads;
    const auto found = files.find(path);
    return found == files.end() ? std::nullopt : std::optional(found->second);
  }
  std::vector<std::string> names(const std::string& directory) override {
    std::vector<std::string> out;
    for (const auto& [path, text] : files) {
      if (!path.starts_with(directory + "/")) continue;
      const std::string rest = path.substr(directory.size() + 1);
      const std::string name = rest.substr(0, rest.find('/'));
      if (out.empty() || out.back() != name) out.push_back(name);
    }
    return out;
  }

  std::map<std::string, std::string> files;
  int reads = 0;
};

// A phone: cgroup v2 with a limit two groups up, two zones, one battery that empties.
inline PlantedFiles phone() {
  PlantedFiles files;
  files
      .put("/proc/pressure/memory",
           "some avg10=12.50 avg60=3.00 avg300=0.10 total=9395859\n"
           "full avg10=1.25 avg60=0.00 avg300=0.00 total=1380037\n")
      .put("/proc/meminfo", "MemTotal: 3000000 kB\nMemFree: 10 kB\nMemAvailable:  1000 kB\n")
      .put("/proc/self/status", "Name:\tskein\nVmHWM:\t 9000 kB\nVmRSS:\t 7000 kB\n")
      .put("/proc/self/cgroup", "0::/apps/robot/skein\n")
      .put("/proc/self/mountinfo",
           "20 1 0:2 / /proc rw - proc proc rw\n"
           "41 31 0:38 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw\n")
      .put("/sys/fs/cgroup/apps/robot/skein/memory.max", "max\n")
      .put("/sys/fs/cgroup/apps/robot/skein/memory.current", "4096\n")
      .put("/sys/fs/cgroup/apps/robot/skein/memory.pressure",
           "some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n")
      .put("/sys/fs/cgroup/apps/memory.max", "67108864\n")
      .put("/sys/fs/cgroup/apps/memory.high", "50000000\n")
      .put("/sys/fs/cgroup/apps/memory.current", "30000000\n")
      .put("/sys/fs/cgroup/apps/memory.stat", "anon 1\nactive_file 5\ninactive_file 9000000\n")
      .put("/sys/fs/cgroup/apps/memory.events", "low 0\nhigh 12\nmax 3\noom 2\noom_kill 1\n")
      .put("/sys/class/thermal/cooling_device0/type", "fan\n")
      .put("/sys/class/thermal/thermal_zone0/temp", "45000\n")
      .put("/sys/class/thermal/thermal_zone0/trip_point_0_type", "passive\n")
      .put("/sys/class/thermal/thermal_zone0/trip_point_0_temp", "80000\n")
      .put("/sys/class/thermal/thermal_zone1/temp", "91000\n")
      .put("/sys/class/thermal/thermal_zone1/trip_point_0_type", "active\n")
      .put("/sys/class/thermal/thermal_zone1/trip_point_0_temp", "60000\n")
      .put("/sys/class/thermal/thermal_zone1/trip_point_1_type", "hot\n")
      .put("/sys/class/thermal/thermal_zone1/trip_point_1_temp", "90000\n")
      .put("/sys/class/thermal/thermal_zone1/trip_point_2_type", "critical\n")
      .put("/sys/class/thermal/thermal_zone1/trip_point_2_temp", "110000\n")
      .put("/sys/class/power_supply/BAT0/type", "Battery\n")
      .put("/sys/class/power_supply/BAT0/status", "Discharging\n")
      .put("/sys/class/power_supply/BAT0/capacity", "37\n")
      .put("/sys/class/power_supply/usb/type", "USB\n")
      .put("/sys/class/power_supply/usb/online", "0\n")
      .put("/sys/class/power_supply/mouse/type", "Battery\n")
      .put("/sys/class/power_supply/mouse/scope", "Device\n")
      .put("/sys/class/power_supply/mouse/capacity", "3\n");
  return files;
}

// A server in a container: cgroup v1, its own group is the mount's root.
inline PlantedFiles container() {
  PlantedFiles files;
  files.put("/proc/self/cgroup", "4:memory:/docker/abc/run\n1:cpu:/\n0::/\n")
      .put("/proc/self/mountinfo",
           "34 31 0:31 /docker/abc /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
           "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
           "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n")
      .put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "8000000\n")
      .put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "7000000\n")
      .put("/sys/fs/cgroup/memory/memory.failcnt", "5\n")
      .put("/sys/fs/cgroup/memory/memory.oom_control",
           "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
      .put("/sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 1000000\n")
      .put("/sys/fs/cgroup/memory/run/memory.limit_in_bytes", "9223372036854771712\n")
      .put("/sys/fs/cgroup/memory/run/memory.usage_in_bytes", "5000000\n");
  return files;
}

}  // namespace skein::test
