#include <algorithm>

#include "common/env/pressure/internal/parts.h"
#include "common/env/pressure/internal/text.h"

namespace skein::pressure {

namespace {

constexpr int kMostLevels = 32;                             // of groups within groups
constexpr std::uint64_t kNoLimit = std::uint64_t{1} << 60;  // v1 writes "none" as a huge number

bool has_item(std::string_view list, std::string_view item) {  // "a,b,c"
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    if (list.substr(0, comma) == item) return true;
    list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
  }
  return false;
}

struct Mount {
  std::string root;
  std::string at;
};

// The mount of v1's memory controller, or of v2. Lines are
// "id parent major:minor root mount-point options ... - type source super-options".
std::optional<Mount> find_mount(std::string_view mountinfo, bool v2) {
  while (!mountinfo.empty()) {
    std::string_view line = next_line(mountinfo);
    const std::size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    std::string_view after = line.substr(dash + 3);
    const std::string_view type = next_word(after);
    next_word(after);  // source
    if (type != (v2 ? "cgroup2" : "cgroup")) continue;
    if (!v2 && !has_item(next_word(after), "memory")) continue;
    for (int i = 0; i < 3; ++i) next_word(line);
    Mount mount;
    mount.root = next_word(line);
    mount.at = next_word(line);
    if (mount.at.starts_with('/')) return mount;
  }
  return std::nullopt;
}

// The own group in "number:controllers:path" lines.
std::optional<std::string> find_group(std::string_view cgroup, bool v2) {
  while (!cgroup.empty()) {
    const std::string_view line = next_line(cgroup);
    const std::size_t first = line.find(':');
    if (first == std::string_view::npos) continue;
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const bool ours = v2 ? line.starts_with("0::") : has_item(controllers, "memory");
    if (ours) return std::string(line.substr(second + 1));
  }
  return std::nullopt;
}

// The group's path below the mount. A container sees its own group as the mount's root, or, with a
// namespace of its own, a path that leads out of it: then the mount itself is the group.
std::string below_mount(std::string group, const std::string& root) {
  const bool inside =
      root == "/" || group == root || group.starts_with(root.ends_with('/') ? root : root + "/");
  if (!inside || !group.starts_with('/')) return {};
  if (root != "/") group.erase(0, root.size());
  while (group.ends_with('/')) group.pop_back();
  const bool leads_out = (group + "/").find("/../") != std::string::npos;
  return leads_out ? std::string{} : group;
}

struct FileNames {
  const char* limit;
  const char* used;
  const char* droppable;  // key in memory.stat
};
constexpr FileNames kV1{"/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file"};
constexpr FileNames kV2{"/memory.max", "/memory.current", "inactive_file"};

std::optional<std::uint64_t> read_number(TextFiles& files, const std::string& path) {
  const auto text = files.read(path);
  return text ? only_number<std::uint64_t>(*text) : std::nullopt;
}

std::optional<std::uint64_t> read_key(TextFiles& files, const std::string& path,
                                      std::string_view key) {
  const auto text = files.read(path);
  return text ? number_after(*text, key) : std::nullopt;
}

// One group; nothing when it has no limit, or does not say what it uses.
std::optional<GroupMemory> read_level(TextFiles& files, const std::string& group, bool v2) {
  const FileNames& names = v2 ? kV2 : kV1;
  auto limit = read_number(files, group + names.limit);
  if (v2) {  // above "high" the kernel takes back and slows down, long before it kills
    const auto high = read_number(files, group + "/memory.high");
    if (high) limit = std::min(limit.value_or(kNoLimit), *high);
  }
  const auto used = read_number(files, group + names.used);
  if (!limit || *limit >= kNoLimit || !used) return std::nullopt;
  GroupMemory memory{.limit_bytes = *limit};
  const auto droppable = read_key(files, group + "/memory.stat", names.droppable);
  memory.used_bytes = *used - std::min(*used, droppable.value_or(0));
  if (v2) {
    const std::string events = group + "/memory.events";
    const std::uint64_t most = read_key(files, events, "max").value_or(0);
    const std::uint64_t high = read_key(files, events, "high").value_or(0);
    memory.limit_hits = std::max(most, high);
    memory.oom_kills = read_key(files, events, "oom_kill").value_or(0);
  } else {
    memory.limit_hits = read_number(files, group + "/memory.failcnt").value_or(0);
    memory.oom_kills = read_key(files, group + "/memory.oom_control", "oom_kill").value_or(0);
  }
  return memory;
}

}  // namespace

std::optional<GroupPlace> parse_group_place(std::string_view cgroup, std::string_view mountinfo) {
  for (const bool v2 : {false, true}) {
    const auto group = find_group(cgroup, v2);
    if (!group) continue;
    auto mount = find_mount(mountinfo, v2);
    // Where the mounts are hidden (Android), the usual places are tried.
    if (!mount && mountinfo.empty()) {
      mount = Mount{"/", v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory"};
    }
    if (mount) return GroupPlace{mount->at, below_mount(*group, mount->root), v2};
  }
  return std::nullopt;
}

void read_group(TextFiles& files, Pressure& out) {
  const auto cgroup = files.read("/proc/self/cgroup");
  if (!cgroup) return;
  const std::string mountinfo = files.read("/proc/self/mountinfo").value_or("");
  auto place = parse_group_place(*cgroup, mountinfo);
  if (!place) return;
  if (place->v2) {
    if (const auto text = files.read(place->mount + place->below + "/memory.pressure")) {
      out.group_stalls = parse_stalls(*text);
    }
  }
  for (int level = 0; level < kMostLevels; ++level) {
    const auto memory = read_level(files, place->mount + place->below, place->v2);
    if (memory && (!out.group || memory->room_bytes() < out.group->room_bytes())) {
      out.group = memory;
    }
    if (place->below.empty()) return;
    place->below.erase(place->below.rfind('/'));
  }
}

}  // namespace skein::pressure
