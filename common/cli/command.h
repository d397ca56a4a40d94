// Command sets: how the rooms hang their commands on the one tool. A room's app exports
// `void add_xxx_commands(CLI::App& tool, Command& chosen)`; each sub-command's callback stores what
// to run in `chosen`, and main runs it with a real Env. Used by mains and app rooms only; main
// thread.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <iosfwd>
#include <string>

#include "common/cli/byte_size.h"
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
  unsigned threads = 0;  // 0 = the physical cores
  // Storage made slower (common/env/throttle); 0: as it is.
  double storage_mbps = 0;
  unsigned storage_latency_us = 0;
  std::string cache_folder;  // for what may be lost; set before the command line is read
};

inline constexpr unsigned kMaxThreads = 1024;
inline constexpr double kLeastStorageMbps = 0.1;
inline constexpr double kMostStorageMbps = 1e6;
inline constexpr unsigned kMostStorageLatencyUs = 10'000'000;

inline void add_threads_option(CLI::App& command, Command& chosen) {
  command.add_option("--threads", chosen.threads, "threads (default: the physical cores)")
      ->check(CLI::Range(0U, kMaxThreads));
}

// `size` is a number or an optional one, of bytes.
template <class Size>
CLI::Option* add_size_option(CLI::App& command, const std::string& name, Size& size,
                             const std::string& about) {
  const auto to_bytes = [](std::string& text) {
    const auto bytes = parse_byte_size(text, "");
    if (bytes) text = std::to_string(*bytes);
    return bytes ? std::string() : to_string(bytes.error());
  };
  return command.add_option(name, size, about)
      ->transform(CLI::Validator(to_bytes, ""))
      ->type_name("SIZE");
}

// For commands that read weights while they run: figures of slower storage, on this one.
inline void add_storage_options(CLI::App& command, Command& chosen) {
  command
      .add_option(
          "--storage-mbps", chosen.storage_mbps,
          "read weights from storage no faster than so many million bytes a second; without "
          "--memory-budget that is the whole file, once, before anything else")
      ->check(CLI::Range(kLeastStorageMbps, kMostStorageMbps));
  command
      .add_option("--storage-latency-us", chosen.storage_latency_us,
                  "each such read takes so many microseconds before its first byte")
      ->check(CLI::Range(0U, kMostStorageLatencyUs));
}

}  // namespace skein
