// EdgeConfig: everything a device can be told, from a TOML file, SKEIN_<SECTION>_<KEY> in the
// environment, and flags, later ones over earlier ones. Value; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/log.h"
#include "common/base/result.h"

namespace skein {

struct EdgeConfig {
  // [node]
  std::string name = "edge";  // for people
  std::string data_dir = "skein-edge-data";
  std::string artifact;             // a local .skein to install at start
  std::string artifact_key;         // PEM file: who must have signed it; "" = not checked
  unsigned threads = 0;             // for the model; 0 = the physical cores
  std::uint64_t memory_budget = 0;  // bytes, of the whole process; 0 = as it comes
  // [http]
  std::string listen = "127.0.0.1:7080";
  bool insecure = false;  // listen beyond loopback without TLS
  // [coordinator]
  std::string address;      // host:port; "" = work alone
  std::string token;        // for the first start only
  std::string token_file;   // or a file that holds it
  std::string server_name;  // what the coordinator's certificate must be for; "" = any of its hosts
  std::uint32_t redial_max_ms = 10'000;  // longest pause between two tries, +-50 %
  // [split]
  std::uint32_t first_layer = 0;  // 0 = off: every layer runs here; k = layers k... run there
  // [learn]
  std::string text;      // this device's own text file
  bool consent = false;  // without it nothing is read and nothing leaves
  double max_update_norm = 1000;
  // [log]
  LogLevel log_level = LogLevel::kInfo;
  bool log_json = false;
  // [labels]: any keys; told to the coordinator
  std::vector<std::pair<std::string, std::string>> labels;

  std::uint64_t memory_bytes = 0;  // of the machine; main knows
};

using Environment = std::map<std::string, std::string>;

// Errc::kUsage naming key and file for an unknown key or a bad value; kCorrupt for what is no TOML.
Result<void> read_config(EdgeConfig& config, std::string_view toml, const std::string& file);
Result<void> read_environment(EdgeConfig& config, const Environment& environment);
// "section.key=value"; `where` it was said, for messages.
Result<void> apply_setting(EdgeConfig& config, std::string_view setting,
                           const std::string& where = "--set");
// What must hold between keys: addresses parse, loopback unless insecure, ...
Result<void> check_config(const EdgeConfig& config);

}  // namespace skein
