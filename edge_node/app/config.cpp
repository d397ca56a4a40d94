#include "edge_node/app/config.h"

#include <toml++/toml.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <sstream>

#include "common/artifact/model_config.h"
#include "common/cli/byte_size.h"
#include "common/env/network.h"
#include "common/wire/messages.h"

namespace skein {

namespace {

using Set = std::function<bool(EdgeConfig&, std::string_view)>;

struct Setting {
  std::string_view section;
  std::string_view key;
  std::string_view expects;
  Set set;  // false: not a value of this kind
};

Set text(std::string EdgeConfig::* member) {
  return [member](EdgeConfig& config, std::string_view value) {
    config.*member = value;
    return value.size() <= kMaxText;
  };
}

Set flag(bool EdgeConfig::* member) {
  return [member](EdgeConfig& config, std::string_view value) {
    config.*member = value == "true";
    return value == "true" || value == "false";
  };
}

template <class Number>
Set number(Number EdgeConfig::* member, Number most) {
  return [member, most](EdgeConfig& config, std::string_view value) {
    Number parsed{};
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), parsed);
    if (error != std::errc{} || end != value.data() + value.size()) return false;
    config.*member = parsed;
    return parsed >= Number{} && parsed <= most;
  };
}

bool set_memory_budget(EdgeConfig& config, std::string_view value) {
  const auto bytes = parse_byte_size(value, {});
  config.memory_budget = bytes.value_or(0);
  return bytes.has_value();
}

bool set_log_level(EdgeConfig& config, std::string_view value) {
  constexpr std::string_view kNames[] = {"debug", "info", "warn", "error"};
  const auto* found = std::ranges::find(kNames, value);
  if (found == std::end(kNames)) return false;
  config.log_level = static_cast<LogLevel>(found - std::begin(kNames));
  return true;
}

bool set_log_format(EdgeConfig& config, std::string_view value) {
  config.log_json = value == "json";
  return value == "json" || value == "text";
}

const std::vector<Setting>& settings() {
  static const std::vector<Setting> kSettings = {
      {"node", "name", "a text", text(&EdgeConfig::name)},
      {"node", "data_dir", "a folder", text(&EdgeConfig::data_dir)},
      {"node", "artifact", "a .skein file", text(&EdgeConfig::artifact)},
      {"node", "artifact_key", "a PEM file", text(&EdgeConfig::artifact_key)},
      {"node", "threads", "0 to 1024", number(&EdgeConfig::threads, 1024U)},
      {"node", "memory_budget", "a size like 300M or 1.5G, for the whole process",
       set_memory_budget},
      {"http", "listen", "ADDRESS:PORT", text(&EdgeConfig::listen)},
      {"http", "insecure", "true or false", flag(&EdgeConfig::insecure)},
      {"coordinator", "address", "HOST:PORT", text(&EdgeConfig::address)},
      {"coordinator", "token", "a token", text(&EdgeConfig::token)},
      {"coordinator", "token_file", "a file", text(&EdgeConfig::token_file)},
      {"coordinator", "server_name", "a host name", text(&EdgeConfig::server_name)},
      {"coordinator", "redial_max_ms", "1 to 3600000",
       number(&EdgeConfig::redial_max_ms, 3'600'000U)},
      {"split", "first_layer", "0 (off) or a layer", number(&EdgeConfig::first_layer, kMaxLayers)},
      {"learn", "text", "a file", text(&EdgeConfig::text)},
      {"learn", "consent", "true or false", flag(&EdgeConfig::consent)},
      {"learn", "max_update_norm", "a positive number", number(&EdgeConfig::max_update_norm, 1e9)},
      {"log", "level", "debug, info, warn or error", set_log_level},
      {"log", "format", "text or json", set_log_format},
  };
  return kSettings;
}

Result<void> apply(EdgeConfig& config, std::string_view section, std::string_view key,
                   std::string_view value, const std::string& where) {
  const std::string name = "[" + std::string(section) + "] " + std::string(key);
  if (section == "labels") {
    if (config.labels.size() == kMaxLabels || value.size() > kMaxText) {
      return fail(Errc::kUsage, "too many or too long labels", where);
    }
    config.labels.emplace_back(key, value);
    return {};
  }
  for (const Setting& setting : settings()) {
    if (setting.section != section || setting.key != key) continue;
    if (setting.set(config, value)) return {};
    return fail(Errc::kUsage, "bad value \"" + std::string(value) + "\" for " + name, where,
                "it takes " + std::string(setting.expects));
  }
  return fail(Errc::kUsage, "unknown key " + name, where, "remove it or mend its name");
}

// A TOML value as the text that the environment would have held; nullopt for tables and the like.
std::optional<std::string> text_of(const toml::node& node) {
  if (const auto value = node.value_exact<std::string>()) return *value;
  if (const auto value = node.value_exact<bool>()) return *value ? "true" : "false";
  if (const auto value = node.value_exact<std::int64_t>()) return std::to_string(*value);
  if (const auto value = node.value_exact<double>()) {
    std::ostringstream out;
    out.precision(17);
    out << *value;
    return out.str();
  }
  return std::nullopt;
}

Result<void> read_section(EdgeConfig& config, std::string_view section, const toml::table& table,
                          const std::string& file) {
  for (const auto& [key, node] : table) {
    const std::string where = file + " line " + std::to_string(node.source().begin.line);
    const auto value = text_of(node);
    if (!value) {
      return fail(Errc::kUsage,
                  "[" + std::string(section) + "] " + std::string(key.str()) + " is no plain value",
                  where);
    }
    TRY_VOID(apply(config, section, key.str(), *value, where));
  }
  return {};
}

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

}  // namespace

Result<void> read_config(EdgeConfig& config, std::string_view toml_text, const std::string& file) {
  toml::table whole;
  try {
    whole = toml::parse(toml_text, file);
  } catch (const toml::parse_error& error) {
    return fail(Errc::kCorrupt, "not TOML: " + std::string(error.description()),
                file + " line " + std::to_string(error.source().begin.line));
  }
  for (const auto& [section, node] : whole) {
    const toml::table* table = node.as_table();
    if (table == nullptr) {
      return fail(Errc::kUsage, "unknown key " + std::string(section.str()), file,
                  "keys stand in sections: [node], [http], ...");
    }
    const bool known =
        section.str() == "labels" || std::ranges::any_of(settings(), [&](const Setting& setting) {
          return setting.section == section.str();
        });
    if (!known) {
      return fail(Errc::kUsage, "unknown section [" + std::string(section.str()) + "]", file);
    }
    TRY_VOID(read_section(config, section.str(), *table, file));
  }
  return {};
}

Result<void> read_environment(EdgeConfig& config, const Environment& environment) {
  for (const Setting& setting : settings()) {
    std::string name = "SKEIN_" + std::string(setting.section) + "_" + std::string(setting.key);
    std::ranges::transform(name, name.begin(), [](char letter) {
      return letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 'a' + 'A') : letter;
    });
    const auto found = environment.find(name);
    if (found == environment.end()) continue;
    TRY_VOID(apply(config, setting.section, setting.key, found->second, "environment " + name));
  }
  return {};
}

Result<void> apply_setting(EdgeConfig& config, std::string_view setting, const std::string& where) {
  const std::size_t equals = setting.find('=');
  const std::size_t dot = setting.find('.');
  if (equals == std::string_view::npos || dot == std::string_view::npos || dot > equals) {
    return fail(Errc::kUsage, "not section.key=value: " + std::string(setting), where);
  }
  return apply(config, setting.substr(0, dot), setting.substr(dot + 1, equals - dot - 1),
               setting.substr(equals + 1), where);
}

Result<void> check_config(const EdgeConfig& config) {
  TRY(const Endpoint listen, parse_endpoint(config.listen));
  if (!is_loopback(listen.host) && !config.insecure) {
    return fail(Errc::kUsage, "the HTTP API would listen beyond this machine without TLS",
                "[http] listen = " + config.listen,
                "listen on 127.0.0.1 behind a proxy, or pass --insecure");
  }
  if (!config.address.empty()) TRY_VOID(parse_endpoint(config.address));
  if (!config.token.empty() && !config.token_file.empty()) {
    return fail(Errc::kUsage, "both [coordinator] token and token_file are set", "", "keep one");
  }
  if (config.redial_max_ms == 0) return fail(Errc::kUsage, "[coordinator] redial_max_ms is zero");
  if (config.data_dir.empty()) return fail(Errc::kUsage, "[node] data_dir is empty");
  if (!(config.max_update_norm > 0)) {
    return fail(Errc::kUsage, "[learn] max_update_norm is not positive");
  }
  return {};
}

}  // namespace skein
