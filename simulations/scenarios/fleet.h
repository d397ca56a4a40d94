// Fleet: a coordinator and its devices living in a World: started, crashed, restarted. The daemons
// are the product's own. Owned by a scenario; the World outlives it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/store/database.h"
#include "coordinator/app/coordinator.h"
#include "edge_node/app/edge_node.h"
#include "simulations/checkers/fleet_checkers.h"
#include "simulations/scenarios/scenario.h"
#include "simulations/world/world.h"

namespace skein {

class Fleet {
 public:
  Fleet(World& world, const Scenario& scenario);
  ~Fleet();
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  void start_coordinator(std::string held_out);  // the text it evaluates rounds on
  // Its token is used at its first start. text: what it may learn from; "" = nothing.
  void start_device(std::uint32_t index, std::string token, std::string text);
  // Power loss; it comes back by itself after the scenario's down time.
  void crash_device(std::uint32_t index);
  void crash_coordinator();
  // Random crashes until the world is calm. Runs until then.
  Task<void> misfortune();
  Task<void> stop();

  // Of the epoch that lives now; nullopt while it is down.
  std::optional<Env> device_env(std::uint32_t index) const;
  static std::string device_name(std::uint32_t index);
  static SlotPlace slot_place(std::uint32_t index);
  Database& database() { return *database_; }
  std::uint64_t crashes() const { return crashes_; }

 private:
  struct Node;  // one machine: what runs on it now, and what is to happen
  Task<void> keep_device(std::shared_ptr<Node> node);
  Task<void> keep_coordinator(std::shared_ptr<Node> node);
  Task<bool> stay_down(std::shared_ptr<Node> node);
  void crash(Node& node);

  World& world_;
  Scenario scenario_;
  std::unique_ptr<Database> database_;
  std::shared_ptr<Node> coordinator_;
  std::vector<std::shared_ptr<Node>> devices_;
  bool ending_ = false;
  std::uint64_t crashes_ = 0;
  TaskGroup keepers_;
};

}  // namespace skein
