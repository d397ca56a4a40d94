// skein relay: a link that can be cut. It passes bytes between a listening address and another;
// stop the process and every connection through it breaks, as a pulled cable would do. And skein
// robot-log.
#include "common/env/disk.h"
#include "common/env/network.h"
#include "simulations/app/internal/command_sets.h"
#include "simulations/workload/robot_logs.h"

namespace skein::simulation {
namespace {

constexpr std::size_t kRelayBuffer = 64 * 1024;
constexpr std::size_t kMaxRelayed = 256;  // connections at once; more are closed at once

struct RelayOptions {
  std::string listen, to;
};

using SharedStream = std::shared_ptr<Stream>;

Task<void> pump(SharedStream from, SharedStream to) {
  Buffer buffer(kRelayBuffer);
  for (;;) {
    const auto read = co_await from->read_some(buffer);
    if (!read || *read == 0) break;
    const ByteView bytes = ByteView(buffer).first(*read);
    if (!co_await to->write_all(bytes)) break;
  }
  from->close();
  to->close();
}

Task<void> relay_one(Env env, Endpoint to, SharedStream near, TaskGroup& pumps) {
  auto connected = co_await env.network.connect(to, nullptr);
  if (!connected) {
    env.log.warn("relay: the far end is not there", {{"error", to_string(connected.error())}});
    co_return;
  }
  const SharedStream far(std::move(*connected));
  pumps.spawn(pump(near, far));
  pumps.spawn(pump(far, near));
}

Task<Result<void>> relay(Env env, Terminal& terminal, std::shared_ptr<RelayOptions> options) {
  CO_TRY(const Endpoint at, parse_endpoint(options->listen));
  CO_TRY(const Endpoint to, parse_endpoint(options->to));
  CO_TRY(const auto listener, env.network.listen(at, nullptr));
  terminal.out << to_string(listener->local()) << std::endl;
  TaskGroup pumps(env.executor);
  for (;;) {
    CO_TRY(auto stream, co_await listener->accept());
    if (pumps.running() >= 2 * kMaxRelayed) continue;  // the stream closes as it goes
    SharedStream near(std::move(stream));
    pumps.spawn(relay_one(env, to, std::move(near), pumps));
  }
}

struct LogOptions {
  unsigned dialect = 0;
  unsigned lines = 200;
  std::uint64_t seed = 1;
  bool mixed = false;
  std::string out;
};

Task<Result<void>> write_log(Env env, Terminal& terminal, std::shared_ptr<LogOptions> options) {
  const std::string text = options->mixed
                               ? mixed_robot_log(options->lines, options->seed)
                               : robot_log(options->dialect, options->lines, options->seed);
  if (options->out.empty()) {
    terminal.out << text;
    co_return Result<void>{};
  }
  co_return co_await replace_file(env.disk, options->out, as_bytes(text));
}

}  // namespace

void add_relay(CLI::App& tool, Command& chosen) {
  auto options = std::make_shared<RelayOptions>();
  CLI::App* command =
      tool.add_subcommand("relay", "a link that can be cut: passes bytes until stopped");
  command->add_option("--listen", options->listen, "HOST:PORT to accept at")->required();
  command->add_option("--to", options->to, "HOST:PORT to pass to")->required();
  command->callback([&chosen, options] {
    chosen.run = [options](Env env, Terminal& terminal) { return relay(env, terminal, options); };
  });
}

void add_robot_log(CLI::App& tool, Command& chosen) {
  auto options = std::make_shared<LogOptions>();
  CLI::App* command = tool.add_subcommand("robot-log", "make up a robot's task log");
  command->add_option("--dialect", options->dialect, "0 key=value, 1 sentences, 2 radio calls");
  command->add_flag("--mixed", options->mixed, "all dialects in turn");
  command->add_option("--lines", options->lines, "how many lines (default 200)")
      ->check(CLI::Range(1U, 1000000U));
  command->add_option("--seed", options->seed, "same seed, same text");
  command->add_option("-o,--output", options->out, "file (default: standard output)");
  command->callback([&chosen, options] {
    chosen.run = [options](Env env, Terminal& terminal) {
      return write_log(env, terminal, options);
    };
  });
}

}  // namespace skein::simulation
