// Pressure: what the machine and the own control group say about memory, heat and battery. Values,
// read from small text files behind a narrow interface. What a machine does not tell is absent and
// never a reason to act.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace skein {

// Time in which tasks waited for memory (the kernel's pressure stall information).
struct StallTimes {
  std::chrono::microseconds some{0};  // at least one waited; counted since the machine began
  std::chrono::microseconds full{0};  // all of them waited
  double some_share = 0;              // of the last 10 s, 0 to 1
  double full_share = 0;
  friend bool operator==(const StallTimes&, const StallTimes&) = default;
};

// The tightest control group that this process is in: its own, or one above.
struct GroupMemory {
  std::uint64_t limit_bytes = 0;
  std::uint64_t used_bytes = 0;  // without file pages that the kernel can drop at once
  std::uint64_t limit_hits = 0;  // how often the limit was run into; file pages count as well
  std::uint64_t oom_kills = 0;
  std::uint64_t room_bytes() const {
    return limit_bytes > used_bytes ? limit_bytes - used_bytes : 0;
  }
  friend bool operator==(const GroupMemory&, const GroupMemory&) = default;
};

// What this process holds of the machine's memory.
struct ProcessMemory {
  // Program text that comes back while a model runs, after it was given back: 3 to 4 MB.
  static constexpr std::uint64_t kTextToCome = std::uint64_t{9} << 19;

  std::uint64_t resident_bytes = 0;
  std::uint64_t peak_bytes = 0;  // the most it ever was
  // What it will hold without a model, right after PressureGauge::give_back().
  std::uint64_t without_model() const {
    return std::min(resident_bytes + kTextToCome, std::max(resident_bytes, peak_bytes));
  }
  friend bool operator==(const ProcessMemory&, const ProcessMemory&) = default;
};

// The worst zone against its own trip points.
enum class Heat : unsigned char { kCool, kWarm /* throttled */, kHot, kCritical /* goes down */ };

struct Pressure {
  std::optional<StallTimes> machine_stalls;
  std::optional<StallTimes> group_stalls;  // cgroup v2 only
  std::optional<GroupMemory> group;        // absent without a limit
  std::optional<ProcessMemory> process;
  std::optional<std::uint64_t> available_bytes;  // of the whole machine, as MemAvailable has it
  Heat heat = Heat::kCool;
  bool on_battery = false;                  // a battery is being emptied and no charger is there
  std::optional<unsigned> battery_percent;  // the mean of this machine's batteries
  friend bool operator==(const Pressure&, const Pressure&) = default;
};

// The files of /proc and /sys, and nothing more of the world. Any one thread at a time.
class TextFiles {
 public:
  static constexpr std::size_t kMostBytes = 256 << 10;  // of one file; the rest is not read
  static constexpr std::size_t kMostNames = 256;        // of one directory

  virtual ~TextFiles() = default;
  // Nothing where the file is absent or cannot be read.
  virtual std::optional<std::string> read(const std::string& path) = 0;
  virtual std::vector<std::string> names(const std::string& directory) = 0;  // sorted
};

// Never fails: what is absent or makes no sense is left out, each by itself.
Pressure read_pressure(TextFiles& files);

// What Env hands out. Takes some dozen small reads, so not within a token; loop thread.
class PressureGauge {
 public:
  virtual ~PressureGauge() = default;
  virtual Pressure sample() = 0;
  // Hands back what this process holds without need: memory that was freed, and program text, which
  // comes again from its files where it is run again. Some milliseconds; any thread.
  virtual void give_back() {}
  // Has `wake` called, on the loop, when the kernel tells of pressure by itself; empty: no longer.
  // Where it cannot or may not tell nothing is ever called, so whoever asks samples as well.
  virtual void on_pressure(std::function<void()> /*wake*/) {}
};

// A file that is ready for an urgent read when its news comes, and what is written to it first.
struct PressureTrigger {
  std::string path;
  std::string ask;
  friend bool operator==(const PressureTrigger&, const PressureTrigger&) = default;
};
// Of the machine and, under cgroup v2, of the own group.
std::vector<PressureTrigger> pressure_triggers(TextFiles& files);

}  // namespace skein
