// Core: the loop, virtual time, the queue of what is to come, and the trace. Shared by all parts of
// one World.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <utility>

#include "common/env/env.h"
#include "simulations/world/fault_plan.h"
#include "simulations/world/internal/trace.h"

namespace skein::sim {

class Loop : public boost::asio::io_context {
 public:
  Loop() : io_context(1) {}
  // Destroys the frames of tasks left over while everything they may refer to still stands.
  void drop_tasks() { shutdown(); }
};

class Core {
 public:
  using Event = std::move_only_function<void()>;
  using Key = std::pair<Instant, std::uint64_t>;  // when, and how many were queued before

  Core(std::uint64_t seed, FaultPlan plan) : seed_(seed), plan_(std::move(plan)) {}

  Loop& loop() { return loop_; }
  Instant now() const { return now_; }
  std::uint64_t seed() const { return seed_; }
  const FaultPlan& plan() const { return plan_; }
  bool is_calm() const { return now_ >= plan_.calm_from; }
  // A fault with this probability, never in the calm.
  bool strikes(Random& random, double probability) const {
    return probability > 0 && !is_calm() && random.unit() < probability;
  }

  Key schedule(Instant at, Event event);
  void cancel(const Key& key) { queue_.erase(key); }
  // Resumes at `at`. Not cancellable, like a system call under way.
  Task<void> pass_until(Instant at);

  bool idle() const { return queue_.empty(); }
  Instant next_time() const { return queue_.begin()->first.first; }
  void run_next();  // moves the clock
  void skip_to(Instant at) { now_ = std::max(now_, at); }

  void trace(std::string_view node, std::string_view kind, std::string_view details) {
    trace_.add(now_, node, kind, details);
  }
  const Trace& trace() const { return trace_; }

  void close();  // forgets the queue and drops the tasks

 private:
  std::uint64_t seed_;
  FaultPlan plan_;
  Instant now_{};
  std::uint64_t queued_ = 0;
  Trace trace_;
  Loop loop_;
  std::map<Key, Event> queue_;
};

// One life of a node. Whoever acts for it asks first whether it is still alive.
struct Epoch {
  std::string node;
  std::uint64_t number = 0;
  bool alive = true;
};
Error dead_epoch_error(const Epoch& epoch);

}  // namespace skein::sim
