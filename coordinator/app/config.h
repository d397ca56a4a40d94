// CoordinatorConfig: everything that can be set, its defaults, and the three places it may come
// from: a TOML file, the environment (SKEIN_<SECTION>_<KEY>), flags; later ones win. Value; any
// thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/env/network.h"

namespace skein {

struct CoordinatorConfig {
  // [daemon]
  std::string data_dir = "skein-coordinator-data";
  std::string log_level = "info";   // debug info warn error
  std::string log_format = "text";  // text json
  std::uint32_t threads = 0;        // for kernels; 0 = one per processor
  bool insecure = false;            // allows the admin port beyond the loopback without TLS
  // [devices]
  Endpoint device_listen{"127.0.0.1", 7070};
  std::vector<std::string> hosts;  // names and addresses devices know this server by
  std::uint32_t heartbeat_ms = 5000;
  // [admin]
  Endpoint admin_listen{"127.0.0.1", 7071};
  std::uint32_t upload_limit_mb = 64;
  // [split]
  std::uint32_t split_idle_seconds = 600;
  // [rounds]
  std::string held_out;             // text file no device has: what "better" is measured on
  std::uint32_t eval_context = 64;  // tokens per evaluation window
};

// Errc::kUsage naming the key and the file: unknown key, wrong type, out of bounds, not TOML.
Result<void> apply_toml(CoordinatorConfig& config, std::string_view text, std::string_view file);
// `lookup`: the value of an environment variable, or nullopt. Errc::kUsage naming the variable.
using EnvironmentLookup = std::function<std::optional<std::string>(const std::string& name)>;
Result<void> apply_environment(CoordinatorConfig& config, const EnvironmentLookup& lookup);
// One key as a flag sets it: ("devices", "listen", "0.0.0.0:7070").
Result<void> apply_setting(CoordinatorConfig& config, std::string_view section,
                           std::string_view key, const std::string& value);
// What no single key can tell: Errc::kUsage, kRefused (an open admin port without --insecure).
Result<void> check_config(const CoordinatorConfig& config);

}  // namespace skein
