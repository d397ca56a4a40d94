// OperatorDesk: a person at the coordinator's admin API and at devices' HTTP doors, in a World.
// Every request is tried again until it is answered; asking twice must be harmless. Private to the
// room.
#pragma once

#include <boost/json/value.hpp>
#include <optional>
#include <string>

#include "common/env/env.h"
#include "simulations/scenarios/fleet.h"

namespace skein::story {

class OperatorDesk {
 public:
  OperatorDesk(World& world, Fleet& fleet);

  // The admin API; waits for the coordinator as long as it takes. nullopt = it refused, for good.
  Task<std::optional<boost::json::value>> ask(std::string method, std::string path,
                                              std::string body);
  // One POST to a device's completions, not repeated. nullopt = no whole answer came.
  Task<std::optional<boost::json::value>> complete(std::uint32_t device, std::string body);
  // Why ask() was refused last.
  const std::string& refusal() const { return refusal_; }

 private:
  Task<std::string> admin_token();

  World& world_;
  Fleet& fleet_;
  Env env_;
  std::string refusal_;
};

}  // namespace skein::story
