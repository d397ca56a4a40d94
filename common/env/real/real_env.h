// RealEnv: the operating system as an Env: Boost.Asio, OpenSSL and POSIX. Owned by main, which
// declares it before everything that uses it. All calls on the thread that calls run(), except
// stop().
//   RealEnv real({.compute_threads = 2});
//   real.on_signals([&] { node.drain(); }, [&] { real.stop(); });
//   real.run();
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "common/base/check.h"
#include "common/env/disk.h"
#include "common/env/env.h"
#include "common/env/network.h"
#include "common/env/real/block_io.h"
#include "common/env/throttle/storage_model.h"

namespace skein {

enum class LogFormat : unsigned char { kText, kJson };

struct RealOptions {
  std::size_t compute_threads = 0;  // for Compute::parallel(); 0 = one per processor
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kText;  // one line an event on standard error
  // How Disk::open_blocks() reads; without it SKEIN_IO says, and else it is the best there is.
  std::optional<BlockIo> block_io{};
  StorageSpeed storage{};  // slows the disk's reads down to this; the default does not
};

class RealEnv {
 public:
  explicit RealEnv(RealOptions options = {});
  ~RealEnv();  // waits for jobs and disk operations under way; tasks left over are dropped
  RealEnv(const RealEnv&) = delete;
  RealEnv& operator=(const RealEnv&) = delete;

  Env env();
  // Serves tasks until stop(), or until nothing is left to wait for.
  void run();
  void stop();  // any thread; run() returns after the handler under way
  // SIGTERM calls `drain`, SIGINT calls `stop`, each as often as it comes.
  void on_signals(std::function<void()> drain, std::function<void()> stop);

  // Runs the loop until `task` ends and gives its value: how a command line tool (or a test) calls
  // a coroutine. Other tasks run meanwhile. Throws what the task throws.
  template <class T>
  T run(Task<T> task);

 private:
  void run_until_ended(Task<void> task);
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

std::optional<LogFormat> parse_log_format(std::string_view name);  // "text", "json"
std::optional<LogLevel> parse_log_level(std::string_view name);    // "debug" "info" "warn" "error"

template <class T>
T RealEnv::run(Task<T> task) {
  if constexpr (std::is_void_v<T>) {
    run_until_ended(std::move(task));
  } else {
    std::optional<T> value;
    auto keep = [](Task<T> inner, std::optional<T>& out) -> Task<void> {
      out.emplace(co_await std::move(inner));
    };
    run_until_ended(keep(std::move(task), value));
    CHECK(value.has_value());
    return std::move(*value);
  }
}

}  // namespace skein
