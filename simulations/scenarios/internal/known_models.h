// KnownModels: every model the fleet was ever given, computed apart from the fleet, to judge its
// answers by. Private to the room; one thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "common/artifact/page_source.h"
#include "common/model/model.h"
#include "simulations/checkers/fleet_checkers.h"

namespace skein::story {

class KnownModels {
 public:
  KnownModels();
  ~KnownModels();
  void add(std::shared_ptr<PageSource> pages);
  // What a device's active slot holds, read off its disk and verified. False when it has none.
  bool add_from_slot(const World& world, const SlotPlace& place);
  bool knows(const std::string& digest_hex) const { return models_.contains(digest_hex); }
  // Greedy continuation of `prompt`, at most `count` tokens. The model must be known.
  std::string continuation(const std::string& digest_hex, const std::string& prompt,
                           std::uint32_t count) const;

 private:
  struct Known;
  std::map<std::string, std::unique_ptr<Known>> models_;
};

}  // namespace skein::story
