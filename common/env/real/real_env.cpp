#include "common/env/real/real_env.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "common/env/real/internal/parts.h"
#include "common/env/real/internal/real_disk.h"
#include "common/env/real/internal/real_network.h"
#include "common/env/real/internal/real_pressure.h"
#include "common/env/real/internal/stderr_log.h"

namespace skein {

namespace asio = boost::asio;

namespace {

class Loop : public asio::io_context {
 public:
  Loop() : io_context(1) {}
  // Destroys the frames of tasks left over while everything they may refer to still stands.
  void drop_tasks() { shutdown(); }
};

std::size_t threads_or_all(std::size_t asked) {
  return asked > 0 ? asked : std::max(1U, std::thread::hardware_concurrency());
}

Result<BlockIo> block_io_of(const RealOptions& options) {
  if (options.block_io) return *options.block_io;
  const char* const wanted = std::getenv("SKEIN_IO");
  return parse_block_io(wanted == nullptr ? "" : wanted);
}

}  // namespace

struct RealEnv::Parts {
  explicit Parts(const RealOptions& options)
      : log(options.log_level, options.log_format),
        clock(loop),
        network(loop, clock, log),
        blocking(clock),
        disk(loop, block_io_of(options)),
        throttled(options.storage.limits()
                      ? std::make_unique<ThrottledDisk>(disk, clock, blocking, options.storage)
                      : nullptr),
        compute(loop, threads_or_all(options.compute_threads)),
        pressure(loop),
        signals(loop) {}
  ~Parts() {
    disk.join();
    compute.join();
    loop.drop_tasks();
  }
  void await_signal();

  real::StderrLog log;
  Loop loop;
  real::RealClock clock;
  real::RealRandom random;
  real::RealNetwork network;
  real::RealBlockingClock blocking;
  real::RealDisk disk;
  std::unique_ptr<ThrottledDisk> throttled;
  real::RealCompute compute;
  real::RealPressure pressure;
  asio::signal_set signals;
  std::function<void()> on_drain;
  std::function<void()> on_stop;
};

void RealEnv::Parts::await_signal() {
  signals.async_wait([this](const boost::system::error_code& error, int number) {
    if (error) return;
    await_signal();
    const auto& callback = number == SIGTERM ? on_drain : on_stop;
    if (callback) callback();
  });
}

RealEnv::RealEnv(RealOptions options) : parts_(std::make_unique<Parts>(options)) {}
RealEnv::~RealEnv() = default;

Env RealEnv::env() {
  return Env{parts_->loop.get_executor(),
             parts_->clock,
             parts_->network,
             parts_->throttled ? static_cast<Disk&>(*parts_->throttled) : parts_->disk,
             parts_->random,
             parts_->compute,
             parts_->log,
             parts_->pressure};
}

void RealEnv::run() {
  parts_->loop.restart();
  parts_->loop.run();
}

void RealEnv::stop() { parts_->loop.stop(); }

void RealEnv::on_signals(std::function<void()> drain, std::function<void()> stop) {
  const bool first = !parts_->on_drain && !parts_->on_stop;
  parts_->on_drain = std::move(drain);
  parts_->on_stop = std::move(stop);
  if (!first) return;
  parts_->signals.add(SIGTERM);
  parts_->signals.add(SIGINT);
  parts_->await_signal();
}

void RealEnv::run_until_ended(Task<void> task) {
  bool ended = false;
  std::exception_ptr thrown;
  asio::co_spawn(parts_->loop, std::move(task), [&](const std::exception_ptr& error) {
    ended = true;
    thrown = error;
  });
  parts_->loop.restart();
  while (!ended && parts_->loop.run_one() > 0) {
  }
  CHECK(ended);  // it waits for something that can no longer happen
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace skein
