// skein-edge: the device's daemon. Reads its configuration, builds the Env, runs an EdgeNode.
// SIGTERM drains, SIGINT stops; both, and SIGKILL, leave the data folder consistent.
#include <malloc.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>

#include "common/cli/command.h"
#include "common/env/real/real_env.h"
#include "edge_node/app/config.h"
#include "edge_node/app/edge_node.h"
#include "kernels/isa/isa.h"

extern char** environ;

namespace skein {
namespace {

struct Flags {
  std::string config, data_dir, listen, log_level, log_format, memory_budget;
  double storage_mbps = 0;
  unsigned storage_latency_us = 0;
  std::vector<std::string> settings;
  bool check = false, insecure = false;
};

Environment environment() {
  Environment variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    variables.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables;
}

Result<EdgeConfig> configure(const Flags& flags) {
  EdgeConfig config;
  if (!flags.config.empty()) {
    RealEnv files;
    TRY(const Buffer toml, files.run(read_file(files.env().disk, flags.config, 1U << 20)));
    TRY_VOID(read_config(config, as_text(toml), flags.config));
  }
  TRY_VOID(read_environment(config, environment()));
  for (const std::string& setting : flags.settings) TRY_VOID(apply_setting(config, setting));
  const auto take = [&](const char* flag, const char* key, const std::string& value) {
    if (value.empty()) return Result<void>{};
    return apply_setting(config, std::string(key) + "=" + value, flag);
  };
  TRY_VOID(take("--data-dir", "node.data_dir", flags.data_dir));
  TRY_VOID(take("--listen", "http.listen", flags.listen));
  TRY_VOID(take("--log-level", "log.level", flags.log_level));
  TRY_VOID(take("--log-format", "log.format", flags.log_format));
  TRY_VOID(take("--memory-budget", "node.memory_budget", flags.memory_budget));
  if (flags.insecure) TRY_VOID(take("--insecure", "http.insecure", "true"));
  TRY_VOID(check_config(config));
  config.memory_bytes = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) *
                        static_cast<std::uint64_t>(sysconf(_SC_PAGE_SIZE));
  return config;
}

int complain(const Error& error) {
  std::fprintf(stderr, "skein-edge: %s\n", to_string(error).c_str());
  return exit_code(error.code);
}

Task<void> end(EdgeNode& node, RealEnv& real, bool drain) {
  Task<void> ending = drain ? node.drain() : node.stop();
  co_await std::move(ending);
  real.stop();
}

int serve(EdgeConfig config, const Flags& flags) {
  // Weights that are given back go back to the system at once, whatever their size.
  mallopt(M_MMAP_THRESHOLD, 128 * 1024);
  mallopt(M_TRIM_THRESHOLD, 128 * 1024);
  RealOptions options;
  options.compute_threads = config.threads;
  options.log_level = config.log_level;
  options.log_format = config.log_json ? LogFormat::kJson : LogFormat::kText;
  options.storage = {.megabytes_per_second = flags.storage_mbps,
                     .latency = std::chrono::microseconds(flags.storage_latency_us)};
  RealEnv real(options);
  EdgeNode node(real.env(), std::move(config));
  TaskGroup ending(real.env().executor);
  bool asked = false;
  const auto once = [&](bool drain) {
    if (!asked || !drain) ending.spawn(end(node, real, drain));
    asked = true;
  };
  real.on_signals([&] { once(true); }, [&] { once(false); });
  const Result<void> started = real.run(node.start());
  if (!started) return complain(started.error());
  real.run();
  return 0;
}

}  // namespace
}  // namespace skein

int main(int argc, char** argv) {
  CLI::App app{"skein-edge: runs the fleet's model on this device"};
  skein::Flags flags;
  app.set_version_flag("--version", "skein-edge " SKEIN_VERSION);
  app.add_option("--config", flags.config, "TOML file");
  app.add_option("--data-dir", flags.data_dir, "[node] data_dir");
  app.add_option("--listen", flags.listen, "[http] listen: ADDRESS:PORT");
  app.add_option("--log-level", flags.log_level, "debug, info, warn or error");
  app.add_option("--log-format", flags.log_format, "text or json");
  app.add_option("--set", flags.settings, "section.key=value, as in the TOML file");
  app.add_option("--memory-budget", flags.memory_budget, "[node] memory_budget: of the process")
      ->type_name("SIZE");
  app.add_option("--storage-mbps", flags.storage_mbps,
                 "for tests: reads of files, maps apart, no faster than so many million bytes a "
                 "second")
      ->check(CLI::Range(skein::kLeastStorageMbps, skein::kMostStorageMbps));
  app.add_option("--storage-latency-us", flags.storage_latency_us,
                 "for tests: each such read takes so many microseconds before its first byte")
      ->check(CLI::Range(0U, skein::kMostStorageLatencyUs));
  app.add_flag("--check-config", flags.check, "read the configuration, say whether it is good");
  app.add_flag("--insecure", flags.insecure, "let the HTTP API listen beyond this machine");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    std::fprintf(stderr, "skein-edge: %s: see --help\n", error.what());
    return 2;
  }
  const auto config = skein::configure(flags);
  if (!config) return skein::complain(config.error());
  const char* isa = std::getenv("SKEIN_ISA");
  if (const auto chosen = skein::select_isa(isa == nullptr ? "" : isa); !chosen) {
    return skein::complain(chosen.error());
  }
  if (flags.check) return std::puts("the configuration is good") < 0;
  return skein::serve(*config, flags);
}
