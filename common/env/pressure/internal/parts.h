// The parts of a Pressure, each from its own files. The formats are those of the Linux kernel's
// documentation: accounting/psi, admin-guide/cgroup-v1/memory, admin-guide/cgroup-v2,
// ABI/testing/sysfs-class-thermal and sysfs-class-power.
#pragma once

#include <string_view>

#include "common/env/pressure/pressure.h"

namespace skein::pressure {

std::optional<StallTimes> parse_stalls(std::string_view text);
// Where the memory files of the own group are, and how many directories above belong to it.
struct GroupPlace {
  std::string mount;  // of the hierarchy
  std::string below;  // "/a/b", or empty for the mount itself
  bool v2 = false;
};
// From /proc/self/cgroup and /proc/self/mountinfo. A v1 memory hierarchy goes before v2.
std::optional<GroupPlace> parse_group_place(std::string_view cgroup, std::string_view mountinfo);

void read_group(TextFiles& files, Pressure& out);
Heat read_heat(TextFiles& files);
void read_battery(TextFiles& files, Pressure& out);

}  // namespace skein::pressure
