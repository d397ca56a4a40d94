// skein, the tool: hangs the rooms' commands on one program and runs the chosen one.
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "common/cli/command.h"
#include "common/env/real/real_env.h"
#include "coordinator/app/commands.h"
#include "coordinator/compress/commands.h"
#include "edge_node/tool/commands.h"
#include "kernels/isa/isa.h"
#include "simulations/app/commands.h"

namespace {

int report(const skein::Error& error) {
  std::cerr << "skein: " << skein::to_string(error) << "\n";
  return skein::exit_code(error.code);
}

int usage(const CLI::App& tool, const CLI::ParseError& error) {
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) return tool.exit(error);
  std::string sentence = error.what();
  for (char& c : sentence) c = c == '\n' ? ' ' : c;
  std::string command = "skein";
  const CLI::App* deepest = &tool;
  while (!deepest->get_subcommands().empty()) {
    deepest = deepest->get_subcommands().front();
    command += " " + deepest->get_name();
  }
  const std::vector<std::string> unknown = tool.remaining(true);
  const bool misses_a_command = deepest->get_require_subcommand_min() > 0;
  if (misses_a_command && !unknown.empty()) {
    sentence = "there is no command '" + unknown.front() + "'";
  }
  std::cerr << "skein: " << sentence << " (command line): see " << command << " --help\n";
  return 2;
}

// The XDG base directory specification's place for caches; empty when there is no home.
std::string cache_folder() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && cache[0] == '/') return std::string(cache) + "/skein";
  const char* home = std::getenv("HOME");
  return home != nullptr && home[0] == '/' ? std::string(home) + "/.cache/skein" : std::string();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App tool{"Skein: RWKV models for fleets of robots and phones", "skein"};
  tool.set_version_flag("--version", "skein " SKEIN_VERSION);
  tool.require_subcommand(1);
  skein::Command chosen;
  chosen.cache_folder = cache_folder();
  skein::add_model_commands(tool, chosen);
  skein::add_compress_commands(tool, chosen);
  skein::add_coordinator_commands(tool, chosen);
  skein::add_simulation_commands(tool, chosen);
  try {
    tool.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return usage(tool, error);
  }
  const char* wanted = std::getenv("SKEIN_ISA");
  if (const auto isa = skein::select_isa(wanted == nullptr ? "" : wanted); !isa) {
    return report(isa.error());
  }
  skein::RealOptions options;
  options.compute_threads = chosen.threads;
  options.log_level = skein::LogLevel::kWarn;
  options.storage.megabytes_per_second = chosen.storage_mbps;
  options.storage.latency = std::chrono::microseconds(chosen.storage_latency_us);
  skein::RealEnv real(options);
  skein::Terminal terminal{std::cin, std::cout, std::cerr, isatty(STDERR_FILENO) == 1};
  const skein::Result<void> result = real.run(chosen.run(real.env(), terminal));
  std::cout.flush();
  if (!result) return report(result.error());
  if (!std::cout) {
    return report({skein::Errc::kInput, "the result could not be written", "standard output",
                   "check the disk or pipe"});
  }
  return 0;
}
