// Command sets: how the rooms hang their commands on the one tool. A room's app exports
// `void add_xxx_commands(CLI::App& tool, Command& chosen)`; each sub-command's callback stores what
// to run in `chosen`, and main runs it with a real Env. Used by mains and app rooms only; main
// thread.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <iosfwd>
#include <string>

#include "common/env/env.h"

namespace skein {

struct Terminal {
  std::istream& in;
  std::ostream& out;  // results only
  std::ostream& err;  // progress and messages
  bool err_is_terminal = false;
};

struct Command {
  std::function<Task<Result<void>>(Env env, Terminal& terminal)> run;
  unsigned threads = 0;      // 0 = the physical cores
  std::string cache_folder;  // for what may be lost; set before the command line is read
};

inline constexpr unsigned kMaxThreads = 1024;

inline void add_threads_option(CLI::App& command, Command& chosen) {
  command.add_option("--threads", chosen.threads, "threads (default: the physical cores)")
      ->check(CLI::Range(0U, kMaxThreads));
}

}  // namespace skein
