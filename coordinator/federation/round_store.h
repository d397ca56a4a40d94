// RoundStore: where rounds survive a restart. Used by the RoundController on the loop thread; the
// tables are the federation's own. One implementation, over SQLite; tests may have another.
#pragma once

#include <memory>
#include <vector>

#include "coordinator/federation/round_machine.h"

namespace skein {

class Database;  // common/store

class RoundStore {
 public:
  virtual ~RoundStore() = default;
  // A number never used before.
  virtual Result<RoundId> next_round() = 0;
  // The whole record, all or nothing, durable on return.
  virtual Result<void> save(const RoundRecord& record) = 0;
  // The newest `limit` rounds, oldest first.
  virtual Result<std::vector<RoundRecord>> load(std::uint32_t limit) = 0;
};

// Makes its tables if they are not there. `database` outlives it.
Result<std::unique_ptr<RoundStore>> open_round_store(Database& database);

}  // namespace skein
