// World: many nodes in one process, in virtual time, from one seed. Owned by a scenario or a test;
// one thread. The same seed and the same calls give the same events in the same order.
//
// A node is an epoch: crash() ends it, and node_env() of the same name begins the next one on the
// disk that the crash left. The owner of a crashed node then lets its coroutines end
// (TaskGroup::stop) and builds a new object. All objects living in a World are destroyed before it.
//   World world({.seed = 7, .faults = plan});
//   Env env = world.node_env("device-1");   ...   world.crash("device-1");
//   world.run_while([&] { return !done; }, limit);
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/check.h"
#include "common/env/disk.h"
#include "common/env/env.h"
#include "common/env/network.h"
#include "common/env/pressure/pressure.h"
#include "simulations/world/fault_plan.h"

namespace skein {

// What must be true whenever nobody is in the middle of something. Asked after every batch.
class Checker {
 public:
  virtual ~Checker() = default;
  virtual std::optional<std::string> violation() = 0;
};

// What the block reads of one node met, over all its epochs.
struct BlockCounters {
  std::uint64_t reads = 0, bytes = 0;
  std::uint64_t slow = 0, stalled = 0, failed = 0, cut_short = 0, lied = 0;
};

struct WorldOptions {
  std::uint64_t seed = 1;
  FaultPlan faults{};
  // More than this in one virtual second is a livelock and stops the run as a violation.
  std::uint64_t max_events_per_second = 2'000'000;
};

enum class RunEnd : unsigned char { kStopped, kTime, kIdle, kViolation };

class World {
 public:
  explicit World(WorldOptions options);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // The next epoch of this node; the one before must have crashed or retired.
  Env node_env(const std::string& node);
  void crash(const std::string& node);   // power loss: unsynced data and every stream are gone
  void retire(const std::string& node);  // an orderly end: nothing is lost, streams break
  bool is_up(const std::string& node) const;

  // The links between two nodes, in force at once. A cut link is silent.
  void cut_link(const std::string& a, const std::string& b);
  void cut_one_way(const std::string& from, const std::string& to);
  void heal(const std::string& a, const std::string& b);
  void heal_all();
  void set_link(const std::string& from, const std::string& to, LinkProfile profile);
  void reset_streams(const std::string& a, const std::string& b);
  void set_disk_capacity(const std::string& node, std::uint64_t bytes);
  // What the node's gauge shows from now on; nothing: what the seed draws.
  void set_pressure(const std::string& node, std::optional<Pressure> pressure);

  // Disks, for checkers and sabotage; they cost no time and leave no trace.
  std::vector<std::string> files(const std::string& node) const;
  std::optional<Buffer> file(const std::string& node, const std::string& path) const;
  bool truncate(const std::string& node, const std::string& path, std::uint64_t size);
  BlockCounters block_counters(const std::string& node) const;
  bool flip_bit(const std::string& node, const std::string& path, std::uint64_t bit);

  // Runs while `goes_on` holds, not past `limit`.
  RunEnd run_while(const std::function<bool()>& goes_on, Instant limit);
  RunEnd run_until(Instant limit);
  // Runs until `task` ends and gives its value; it must end before `limit`.
  template <class T>
  T run(Task<T> task, Duration limit = std::chrono::hours(24));

  Clock& clock();
  Random& random();  // the scenario's own choices
  Executor executor();
  bool is_calm() const;  // no random faults any more

  void add_checker(Checker& checker);            // it outlives the runs
  std::optional<std::string> violation() const;  // the first one

  // The scenario's own events enter the trace too.
  void note(const std::string& node, std::string_view kind, std::string_view details);
  std::string trace_hash() const;           // 16 hexadecimal digits
  std::uint64_t events() const;             // handlers run and events come due
  std::vector<std::string> recent() const;  // the last lines of the trace, oldest first

 private:
  void run_until_ended(Task<void> task, Instant limit);
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

template <class T>
T World::run(Task<T> task, Duration limit) {
  if constexpr (std::is_void_v<T>) {
    run_until_ended(std::move(task), clock().now() + limit);
  } else {
    std::optional<T> value;
    auto keep = [](Task<T> inner, std::optional<T>& out) -> Task<void> {
      out.emplace(co_await std::move(inner));
    };
    run_until_ended(keep(std::move(task), value), clock().now() + limit);
    CHECK(value.has_value());
    return std::move(*value);
  }
}

}  // namespace skein
