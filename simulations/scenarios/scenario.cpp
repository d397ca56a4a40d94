#include "simulations/scenarios/scenario.h"

#include <toml++/toml.h>

#include <functional>
#include <map>
#include <sstream>

namespace skein {
namespace {

// A key: its bounds and where its value goes.
struct Key {
  double least, most;
  std::function<void(Scenario&, double)> set;
};
using Keys = std::map<std::string, Key, std::less<>>;

template <class T>
Key number(T Scenario::* member, double least, double most) {
  return {least, most, [member](Scenario& s, double value) { s.*member = static_cast<T>(value); }};
}

const std::map<std::string, Keys, std::less<>>& sections() {
  static const std::map<std::string, Keys, std::less<>> kSections = {
      {"fleet",
       {{"devices", number(&Scenario::devices, 1, kMaxSimulatedDevices)},
        {"heartbeat_ms", number(&Scenario::heartbeat_ms, 50, 3.6e6)},
        {"memory_budget_mib", number(&Scenario::memory_budget_mib, 0, 1e6)}}},
      {"faults",
       {{"device_crashes_per_minute", number(&Scenario::device_crashes_per_minute, 0, 1000)},
        {"coordinator_crashes_per_minute",
         number(&Scenario::coordinator_crashes_per_minute, 0, 100)},
        {"down_s", number(&Scenario::down_s, 0, 600)}}},
      {"story",
       {{"chats", number(&Scenario::chats, 0, 100000)},
        {"chat_tokens", number(&Scenario::chat_tokens, 1, 1000)},
        {"splits", number(&Scenario::splits, 0, 10000)},
        {"split_tokens", number(&Scenario::split_tokens, 1, 1000)},
        {"round_devices", number(&Scenario::round_devices, 0, kMaxSimulatedDevices)},
        {"log_lines", number(&Scenario::log_lines, 1, 10000)}}},
      {"limits", {{"until_s", number(&Scenario::until_s, 1, 1e7)}}},
  };
  return kSections;
}

tl::unexpected<Error> refuse(std::string what, std::string_view file, const toml::node& at) {
  const auto line = at.source().begin.line;
  return fail(Errc::kUsage, std::move(what), std::string(file) + ", line " + std::to_string(line),
              "see simulations/scenarios/README.md");
}

Result<void> apply(Scenario& scenario, const std::string& section, const std::string& name,
                   const toml::node& node, std::string_view file) {
  const auto value = node.value<double>();
  if (!value) return refuse("[" + section + "] " + name + " is not a number", file, node);
  const Keys& keys = sections().find(section)->second;
  const auto key = keys.find(name);
  if (key != keys.end()) {
    if (!(*value >= key->second.least && *value <= key->second.most)) {
      return refuse("[" + section + "] " + name + " is out of bounds", file, node);
    }
    key->second.set(scenario, *value);
    return {};
  }
  if (section == "faults") {
    auto set = set_fault(scenario.faults, name, *value);
    if (!set) return refuse(set.error().what, file, node);
    return {};
  }
  return refuse("there is no key [" + section + "] " + name, file, node);
}

}  // namespace

Result<Scenario> parse_scenario(std::string_view text, std::string_view file) {
  toml::table table;
  try {
    table = toml::parse(text, file);
  } catch (const toml::parse_error& error) {
    return fail(Errc::kUsage, std::string(error.description()),
                std::string(file) + ", line " + std::to_string(error.source().begin.line),
                "write a TOML file as simulations/scenarios/first_walk.toml is");
  }
  Scenario scenario;
  for (const auto& [section_key, node] : table) {
    const std::string section(section_key.str());
    if (section == "name" && node.is_string()) {
      scenario.name = node.value<std::string>().value_or("");
      continue;
    }
    if (!node.is_table() || !sections().contains(section)) {
      return refuse("there is no section [" + section + "]", file, node);
    }
    for (const auto& [key, value] : *node.as_table()) {
      TRY_VOID(apply(scenario, section, std::string(key.str()), value, file));
    }
  }
  if (scenario.round_devices > scenario.devices) {
    return fail(Errc::kUsage, "[story] round_devices is more than [fleet] devices",
                std::string(file), "let fewer devices learn");
  }
  return scenario;
}

}  // namespace skein
