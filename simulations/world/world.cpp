#include "simulations/world/world.h"

#include <boost/asio/co_spawn.hpp>

#include "simulations/world/internal/fabric.h"
#include "simulations/world/internal/sim_disk.h"
#include "simulations/world/internal/sim_network.h"
#include "simulations/world/internal/sim_pressure.h"

namespace skein {

namespace {

// Everything one epoch of a node sees. Kept until the world ends: its tasks may outlive it.
struct Life {
  Life(sim::Core& core, sim::Fabric& fabric, sim::FileSystem& files, std::shared_ptr<sim::Epoch> e,
       BlockCounters& blocks, const std::optional<Pressure>& planted)
      : epoch(std::move(e)),
        name(epoch->node + "/" + std::to_string(epoch->number)),
        clock(core),
        random(core, name),
        job_clock(core),
        compute(core, name + "/compute", job_clock),
        log(core, epoch),
        disk(core, files, epoch, job_clock, blocks),
        network(fabric, epoch, clock, log),
        pressure(core, name + "/pressure", planted) {}
  std::shared_ptr<sim::Epoch> epoch;
  std::string name;
  sim::SimClock clock;
  sim::SimRandom random;
  sim::JobClock job_clock;
  sim::SimCompute compute;
  sim::SimLog log;
  sim::SimDisk disk;
  sim::SimNetwork network;
  sim::SimPressure pressure;
};

struct Node {
  explicit Node(std::uint64_t capacity) : files(capacity) {}
  sim::FileSystem files;
  BlockCounters blocks;
  std::optional<Pressure> pressure;  // planted
  std::vector<std::unique_ptr<Life>> lives;
  bool is_up() const { return !lives.empty() && lives.back()->epoch->alive; }
};

}  // namespace

struct World::Parts {
  explicit Parts(const WorldOptions& o)
      : options(o),
        core(o.seed, o.faults),
        fabric(core),
        clock(core),
        random(core, "scenario"),
        chaos(core, "chaos"),
        crashes(core, "crashes") {}
  ~Parts() { core.close(); }

  void end_life(const std::string& name, std::string_view kind);
  void plan_next_cut();
  void cut_somewhere();
  bool settle();  // runs what is ready, then asks the checkers; false on a violation
  bool count_event();
  void report(std::string what);

  WorldOptions options;
  sim::Core core;
  sim::Fabric fabric;
  sim::SimClock clock;
  sim::SimRandom random;
  sim::SimRandom chaos;
  sim::SimRandom crashes;
  std::map<std::string, Node> nodes;
  std::vector<Checker*> checkers;
  std::optional<std::string> violation;
  std::uint64_t events = 0;
  std::uint64_t events_this_second = 0;
  std::chrono::seconds second{0};
};

World::World(WorldOptions options) : parts_(std::make_unique<Parts>(options)) {
  const FaultPlan& plan = parts_->core.plan();
  if (plan.cuts_per_minute > 0) parts_->plan_next_cut();
  if (plan.calm_from != Instant::max()) {
    parts_->core.schedule(plan.calm_from, [parts = parts_.get()] { parts->fabric.heal_all(); });
  }
}

World::~World() = default;

// ---- nodes

Env World::node_env(const std::string& node) {
  Parts& p = *parts_;
  Node& place = p.nodes.try_emplace(node, p.core.plan().disk_bytes).first->second;
  CHECK(!place.is_up());  // crash or retire the epoch before
  auto epoch = std::make_shared<sim::Epoch>(sim::Epoch{node, place.lives.size() + 1, true});
  p.core.trace(node, "node.start", std::to_string(epoch->number));
  auto& life = *place.lives.emplace_back(std::make_unique<Life>(
      p.core, p.fabric, place.files, std::move(epoch), place.blocks, place.pressure));
  return Env{executor(),  life.clock,   life.network, life.disk,
             life.random, life.compute, life.log,     life.pressure};
}

void World::Parts::end_life(const std::string& name, std::string_view kind) {
  Node& node = nodes.at(name);
  CHECK(node.is_up());
  core.trace(name, kind, {});
  sim::Epoch& epoch = *node.lives.back()->epoch;
  epoch.alive = false;
  fabric.node_ended(epoch);
}

void World::crash(const std::string& node) {
  parts_->end_life(node, "node.crash");
  parts_->nodes.at(node).files.crash(parts_->crashes, parts_->core.plan());
}

void World::retire(const std::string& node) { parts_->end_life(node, "node.retire"); }

bool World::is_up(const std::string& node) const {
  const auto found = parts_->nodes.find(node);
  return found != parts_->nodes.end() && found->second.is_up();
}

void World::set_disk_capacity(const std::string& node, std::uint64_t bytes) {
  parts_->nodes.at(node).files.set_capacity(bytes);
}

void World::set_pressure(const std::string& node, std::optional<Pressure> pressure) {
  parts_->nodes.at(node).pressure = std::move(pressure);
}

std::vector<std::string> World::files(const std::string& node) const {
  const auto found = parts_->nodes.find(node);
  return found == parts_->nodes.end() ? std::vector<std::string>{} : found->second.files.paths();
}

std::optional<Buffer> World::file(const std::string& node, const std::string& path) const {
  const auto found = parts_->nodes.find(node);
  if (found == parts_->nodes.end()) return std::nullopt;
  const auto inode = found->second.files.find(sim::plain_path(path));
  return inode ? std::optional(inode->current) : std::nullopt;
}

BlockCounters World::block_counters(const std::string& node) const {
  return parts_->nodes.at(node).blocks;
}

bool World::truncate(const std::string& node, const std::string& path, std::uint64_t size) {
  const auto inode = parts_->nodes.at(node).files.find(sim::plain_path(path));
  if (!inode || size > inode->current.size()) return false;
  inode->current.resize(size);
  inode->durable.resize(std::min<std::size_t>(size, inode->durable.size()));
  return true;
}

bool World::flip_bit(const std::string& node, const std::string& path, std::uint64_t bit) {
  const auto inode = parts_->nodes.at(node).files.find(sim::plain_path(path));
  if (!inode || bit / 8 >= inode->current.size()) return false;
  const std::byte mask{static_cast<unsigned char>(1U << (bit % 8))};
  inode->current[bit / 8] ^= mask;
  if (bit / 8 < inode->durable.size()) inode->durable[bit / 8] ^= mask;
  return true;
}

// ---- links

void World::cut_link(const std::string& a, const std::string& b) {
  parts_->fabric.cut(a, b);
  parts_->fabric.cut(b, a);
}
void World::cut_one_way(const std::string& from, const std::string& to) {
  parts_->fabric.cut(from, to);
}
void World::heal(const std::string& a, const std::string& b) {
  parts_->fabric.heal(a, b);
  parts_->fabric.heal(b, a);
}
void World::heal_all() { parts_->fabric.heal_all(); }
void World::set_link(const std::string& from, const std::string& to, LinkProfile profile) {
  parts_->fabric.set_profile(from, to, profile);
}
void World::reset_streams(const std::string& a, const std::string& b) {
  parts_->fabric.reset_streams(a, b);
}

void World::Parts::plan_next_cut() {
  const double minutes = 2.0 * chaos.unit() / core.plan().cuts_per_minute;
  const Duration wait(static_cast<Duration::rep>(minutes * 60e9));
  if (core.now() + wait >= core.plan().calm_from) return;
  core.schedule(core.now() + wait, [this] {
    cut_somewhere();
    plan_next_cut();
  });
}

void World::Parts::cut_somewhere() {
  if (nodes.size() < 2) return;
  const std::uint64_t first = chaos.below(nodes.size());
  const std::uint64_t second_one = (first + 1 + chaos.below(nodes.size() - 1)) % nodes.size();
  const auto name = [&](std::uint64_t i) {
    return std::next(nodes.begin(), static_cast<std::ptrdiff_t>(i))->first;
  };
  const std::string a = name(first);
  const std::string b = name(second_one);
  const bool both = chaos.unit() < 0.5;
  const double share = chaos.unit();
  const Duration length(
      static_cast<Duration::rep>(share * static_cast<double>(core.plan().longest_cut.count())));
  fabric.cut(a, b);
  if (both) fabric.cut(b, a);
  core.schedule(core.now() + length, [this, a, b, both] {
    fabric.heal(a, b);
    if (both) fabric.heal(b, a);
  });
}

// ---- running

void World::Parts::report(std::string what) {
  if (violation) return;
  core.trace("world", "violation", what);
  violation = std::move(what);
}

bool World::Parts::count_event() {
  ++events;
  const auto now = std::chrono::floor<std::chrono::seconds>(core.now().time_since_epoch());
  if (now != second) {
    second = now;
    events_this_second = 0;
  }
  if (++events_this_second <= options.max_events_per_second) return true;
  report("livelock: more than " + std::to_string(options.max_events_per_second) +
         " events in one virtual second");
  return false;
}

bool World::Parts::settle() {
  core.loop().restart();
  while (core.loop().poll_one() > 0) {
    if (!count_event()) return false;
  }
  for (Checker* checker : checkers) {
    if (auto what = checker->violation()) {
      report(std::move(*what));
      return false;
    }
  }
  return true;
}

RunEnd World::run_while(const std::function<bool()>& goes_on, Instant limit) {
  Parts& p = *parts_;
  for (;;) {
    if (p.violation || !p.settle()) return RunEnd::kViolation;
    if (!goes_on()) return RunEnd::kStopped;
    if (p.core.idle()) return RunEnd::kIdle;
    if (p.core.next_time() > limit) {
      p.core.skip_to(limit);
      return RunEnd::kTime;
    }
    p.core.run_next();
    if (!p.count_event()) return RunEnd::kViolation;
  }
}

RunEnd World::run_until(Instant limit) {
  const RunEnd end = run_while([] { return true; }, limit);
  if (end == RunEnd::kIdle) parts_->core.skip_to(limit);
  return end;
}

void World::run_until_ended(Task<void> task, Instant limit) {
  bool ended = false;
  std::exception_ptr thrown;
  boost::asio::co_spawn(parts_->core.loop(), std::move(task), [&](const std::exception_ptr& error) {
    ended = true;
    thrown = error;
  });
  run_while([&] { return !ended; }, limit);
  CHECK(ended);  // it waits for something that does not happen in time
  if (thrown) std::rethrow_exception(thrown);
}

Clock& World::clock() { return parts_->clock; }
Random& World::random() { return parts_->random; }
Executor World::executor() { return parts_->core.loop().get_executor(); }
bool World::is_calm() const { return parts_->core.is_calm(); }

void World::add_checker(Checker& checker) { parts_->checkers.push_back(&checker); }
std::optional<std::string> World::violation() const { return parts_->violation; }

void World::note(const std::string& node, std::string_view kind, std::string_view details) {
  parts_->core.trace(node, kind, details);
}
std::string World::trace_hash() const { return std::as_const(parts_->core).trace().hash(); }
std::uint64_t World::events() const { return parts_->events; }
std::vector<std::string> World::recent() const {
  return std::as_const(parts_->core).trace().recent();
}

}  // namespace skein
