#include "simulations/scenarios/fleet.h"

#include "common/env/disk.h"

namespace skein {

struct Fleet::Node {
  Node(std::string name_, Executor executor) : name(std::move(name_)), event(std::move(executor)) {}
  std::string name;
  std::string token, text;  // devices
  std::optional<Env> env;   // while it is up
  bool crashed = false;
  Signal event;  // crashed, or the fleet ends
};

Fleet::Fleet(World& world, const Scenario& scenario)
    : world_(world),
      scenario_(scenario),
      database_(Database::open_in_memory().value()),
      keepers_(world.executor()) {
  coordinator_ = std::make_shared<Node>("coordinator", world.executor());
  for (std::uint32_t i = 0; i < scenario.devices; ++i) {
    devices_.push_back(std::make_shared<Node>(device_name(i), world.executor()));
  }
}

Fleet::~Fleet() = default;

std::string Fleet::device_name(std::uint32_t index) { return "device-" + std::to_string(index); }

SlotPlace Fleet::slot_place(std::uint32_t index) {
  return {device_name(index), "/data/chunks", "/data/slots"};
}

std::optional<Env> Fleet::device_env(std::uint32_t index) const { return devices_[index]->env; }

void Fleet::start_coordinator(std::string held_out) {
  coordinator_->text = std::move(held_out);
  keepers_.spawn(keep_coordinator(coordinator_));
}

void Fleet::start_device(std::uint32_t index, std::string token, std::string text) {
  devices_[index]->token = std::move(token);
  devices_[index]->text = std::move(text);
  keepers_.spawn(keep_device(devices_[index]));
}

void Fleet::crash(Node& node) {
  if (!node.env) return;
  ++crashes_;
  world_.crash(node.name);
  node.env.reset();
  node.crashed = true;
  node.event.notify_all();
}
void Fleet::crash_device(std::uint32_t index) { crash(*devices_[index]); }
void Fleet::crash_coordinator() { crash(*coordinator_); }

// False when the fleet ended meanwhile.
Task<bool> Fleet::stay_down(std::shared_ptr<Node> node) {
  const double seconds = scenario_.down_s * 2 * world_.random().unit();
  const auto pause = Duration(static_cast<Duration::rep>(seconds * 1e9));
  co_await world_.clock().sleep_for(pause);
  node->crashed = false;
  co_return !ending_;
}

Task<void> Fleet::keep_coordinator(std::shared_ptr<Node> node) {
  CoordinatorConfig config;
  config.data_dir = "/data";
  config.device_listen = {node->name, 7070};
  config.admin_listen = {node->name, 7071};
  config.hosts = {node->name};
  config.insecure = true;  // people reach the admin port from another machine here
  config.heartbeat_ms = scenario_.heartbeat_ms;
  config.held_out = "/data/held-out.txt";
  bool goes_on = true;
  while (goes_on) {
    node->env.emplace(world_.node_env(node->name));
    const Env env = *node->env;
    (void)co_await env.disk.make_directories(config.data_dir);
    (void)co_await replace_file(env.disk, config.held_out, as_bytes(node->text));
    auto daemon = std::make_unique<Coordinator>(env, config, *database_);
    const auto started = co_await daemon->start();
    if (!started && !node->crashed) {
      world_.note(node->name, "start failed", to_string(started.error()));
      crash(*node);
    }
    while (!node->crashed && !ending_) co_await node->event.wait();
    co_await daemon->stop();
    daemon.reset();
    if (ending_) break;
    goes_on = co_await stay_down(node);
  }
}

Task<void> Fleet::keep_device(std::shared_ptr<Node> node) {
  EdgeConfig config;
  config.name = node->name;
  config.data_dir = "/data";
  config.address = "coordinator:7070";
  config.token = node->token;
  config.memory_budget = std::uint64_t{scenario_.memory_budget_mib} << 20U;
  config.consent = !node->text.empty();
  if (config.consent) config.text = "/text/log.txt";
  bool goes_on = true;
  while (goes_on) {
    node->env.emplace(world_.node_env(node->name));
    const Env env = *node->env;
    if (config.consent) {
      // The log is on the device before it is switched on; a crash while it is written repeats it.
      (void)co_await env.disk.make_directories("/text");
      (void)co_await replace_file(env.disk, config.text, as_bytes(node->text));
    }
    auto daemon = std::make_unique<EdgeNode>(env, config);
    const auto started = co_await daemon->start();
    if (!started && !node->crashed) {
      world_.note(node->name, "start failed", to_string(started.error()));
      crash(*node);
    }
    while (!node->crashed && !ending_) co_await node->event.wait();
    co_await daemon->stop();
    daemon.reset();
    if (ending_) break;
    goes_on = co_await stay_down(node);
  }
}

Task<void> Fleet::misfortune() {
  const double devices = scenario_.device_crashes_per_minute;
  const double coordinators = scenario_.coordinator_crashes_per_minute;
  if (devices + coordinators <= 0) co_return;
  while (!world_.is_calm() && !ending_) {
    // Uniform between nothing and twice the mean gap.
    const double gap = 60.0 / (devices + coordinators) * 2 * world_.random().unit();
    co_await world_.clock().sleep_for(Duration(static_cast<Duration::rep>(gap * 1e9)));
    if (world_.is_calm() || ending_) break;
    if (world_.random().unit() * (devices + coordinators) < coordinators) {
      crash_coordinator();
    } else {
      crash_device(static_cast<std::uint32_t>(world_.random().below(devices_.size())));
    }
  }
}

Task<void> Fleet::stop() {
  ending_ = true;
  coordinator_->event.notify_all();
  for (const auto& node : devices_) node->event.notify_all();
  co_await keepers_.join();
}

}  // namespace skein
