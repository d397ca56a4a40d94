#include "coordinator/app/config.h"

#include <toml++/toml.h>

#include <algorithm>
#include <charconv>

namespace skein {

namespace {

using Config = CoordinatorConfig;

Result<void> set_number(std::uint32_t& into, const std::string& text, std::uint32_t least,
                        std::uint32_t most) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < least || number > most) {
    return fail(Errc::kUsage, "\"" + text + "\" is not a number from " + std::to_string(least) +
                                  " to " + std::to_string(most));
  }
  into = number;
  return {};
}

Result<void> set_flag(bool& into, const std::string& text) {
  if (text != "true" && text != "false" && text != "1" && text != "0")
    return fail(Errc::kUsage, "\"" + text + "\" is neither true nor false");
  into = text == "true" || text == "1";
  return {};
}

Result<void> set_word(std::string& into, const std::string& text,
                      std::initializer_list<std::string_view> words) {
  if (std::ranges::find(words, text) == words.end()) {
    std::string known;
    for (const std::string_view word : words)
      known += (known.empty() ? "" : ", ") + std::string(word);
    return fail(Errc::kUsage, "\"" + text + "\" is none of " + known);
  }
  into = text;
  return {};
}

Result<void> set_text(std::string& into, const std::string& text) {
  into = text;
  return {};
}

Result<void> set_endpoint(Endpoint& into, const std::string& text) {
  TRY(into, parse_endpoint(text));
  return {};
}

Result<void> set_list(std::vector<std::string>& into, const std::string& text) {
  into.clear();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    if (comma > at) into.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return {};
}

struct Key {
  std::string_view section;
  std::string_view name;
  Result<void> (*set)(Config& config, const std::string& text);
};

// clang-format off
constexpr Key kKeys[] = {
    {"daemon", "data_dir", [](Config& c, const std::string& t) { return set_text(c.data_dir, t); }},
    {"daemon", "log_level", [](Config& c, const std::string& t) {
       return set_word(c.log_level, t, {"debug", "info", "warn", "error"}); }},
    {"daemon", "log_format", [](Config& c, const std::string& t) {
       return set_word(c.log_format, t, {"text", "json"}); }},
    {"daemon", "threads", [](Config& c, const std::string& t) {
       return set_number(c.threads, t, 0, 1024); }},
    {"daemon", "insecure", [](Config& c, const std::string& t) { return set_flag(c.insecure, t); }},
    {"devices", "listen", [](Config& c, const std::string& t) {
       return set_endpoint(c.device_listen, t); }},
    {"devices", "hosts", [](Config& c, const std::string& t) { return set_list(c.hosts, t); }},
    {"devices", "heartbeat_ms", [](Config& c, const std::string& t) {
       return set_number(c.heartbeat_ms, t, 50, 3'600'000); }},
    {"admin", "listen", [](Config& c, const std::string& t) {
       return set_endpoint(c.admin_listen, t); }},
    {"admin", "upload_limit_mb", [](Config& c, const std::string& t) {
       return set_number(c.upload_limit_mb, t, 1, 64); }},
    {"split", "idle_seconds", [](Config& c, const std::string& t) {
       return set_number(c.split_idle_seconds, t, 1, 86'400); }},
    {"rounds", "held_out", [](Config& c, const std::string& t) { return set_text(c.held_out, t); }},
    {"rounds", "eval_context", [](Config& c, const std::string& t) {
       return set_number(c.eval_context, t, 2, 4096); }},
};
// clang-format on

std::string variable_of(const Key& key) {
  std::string name = "SKEIN_" + std::string(key.section) + "_" + std::string(key.name);
  std::ranges::transform(name, name.begin(), [](char letter) {
    return letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 'a' + 'A') : letter;
  });
  return name;
}

const Key* find_key(std::string_view section, std::string_view name) {
  const auto* found = std::ranges::find_if(
      kKeys, [&](const Key& key) { return key.section == section && key.name == name; });
  return found == std::end(kKeys) ? nullptr : found;
}

bool known_section(std::string_view section) {
  return std::ranges::any_of(kKeys, [&](const Key& key) { return key.section == section; });
}

// A TOML value as the text a flag would carry; nullopt for types no key has.
std::optional<std::string> text_of(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* flag = node.as_boolean()) return std::string(flag->get() ? "true" : "false");
  const auto* list = node.as_array();
  if (list == nullptr) return std::nullopt;
  std::string joined;
  for (const toml::node& item : *list) {
    const auto* text = item.as_string();
    if (text == nullptr) return std::nullopt;
    joined += (joined.empty() ? "" : ",") + text->get();
  }
  return joined;
}

Error placed(Error error, std::string where) {
  error.where = std::move(where);
  return error;
}

Result<void> apply_section(Config& config, std::string_view section, const toml::table& table,
                           std::string_view file) {
  for (const auto& [name, node] : table) {
    const std::string full = std::string(section) + "." + std::string(name.str());
    const std::string where =
        std::string(file) + ", line " + std::to_string(name.source().begin.line);
    const Key* key = find_key(section, name.str());
    if (key == nullptr) return fail(Errc::kUsage, "there is no key \"" + full + "\"", where);
    const auto text = text_of(node);
    if (!text) return fail(Errc::kUsage, "the value of \"" + full + "\" has the wrong type", where);
    if (auto set = key->set(config, *text); !set)
      return tl::unexpected(placed(within(full, set.error()), where));
  }
  return {};
}

}  // namespace

Result<void> apply_toml(Config& config, std::string_view text, std::string_view file) {
  toml::table root;
  try {
    root = toml::parse(text, file);
  } catch (const toml::parse_error& error) {
    return fail(Errc::kUsage, "the configuration is not TOML: " + std::string(error.description()),
                std::string(file) + ", line " + std::to_string(error.source().begin.line));
  }
  for (const auto& [name, node] : root) {
    const std::string where =
        std::string(file) + ", line " + std::to_string(name.source().begin.line);
    const toml::table* table = node.as_table();
    if (table == nullptr || !known_section(name.str())) {
      return fail(Errc::kUsage, "there is no key or section \"" + std::string(name.str()) + "\"",
                  where);
    }
    TRY_VOID(apply_section(config, name.str(), *table, file));
  }
  return {};
}

Result<void> apply_environment(Config& config, const EnvironmentLookup& lookup) {
  for (const Key& key : kKeys) {
    const std::string variable = variable_of(key);
    const auto value = lookup(variable);
    if (!value) continue;
    if (auto set = key.set(config, *value); !set)
      return tl::unexpected(placed(set.error(), "environment variable " + variable));
  }
  return {};
}

Result<void> apply_setting(Config& config, std::string_view section, std::string_view key,
                           const std::string& value) {
  const Key* found = find_key(section, key);
  if (found == nullptr) {
    return fail(Errc::kUsage,
                "there is no key \"" + std::string(section) + "." + std::string(key) + "\"");
  }
  return found->set(config, value);
}

Result<void> check_config(const Config& config) {
  if (config.data_dir.empty())
    return fail(Errc::kUsage, "the data directory has no name", {}, "give --data-dir DIR");
  const std::string& host = config.admin_listen.host;
  const bool loopback = host == "localhost" || host == "::1" || host.starts_with("127.");
  if (!loopback && !config.insecure) {
    return fail(Errc::kRefused, "the admin port speaks plain HTTP and would be open to the network",
                "admin.listen = " + to_string(config.admin_listen),
                "keep it on the loopback behind a proxy with TLS, or give --insecure");
  }
  return {};
}

}  // namespace skein
