// Boot: from whatever a crash or bit rot left on disk to a verified, loaded slot. Loop thread.
#pragma once

#include <optional>

#include "common/artifact/slots.h"
#include "edge_node/generate/model_host.h"

namespace skein {

struct Boot {
  std::optional<SlotState> slot;    // what the pointer says after booting
  std::optional<Digest> to_repair;  // what it said before, when that could not be loaded
  std::optional<Error> no_room;     // on the disk, to load it: nothing is damaged
};

// Loads the first of active, previous and older that is whole; damaged pages found on the way are
// removed, so that they count as missing and are fetched again. With nothing whole, or nothing at
// all, the device starts without a model. Errc::kOutOfRoom when the memory budget is too small.
Task<Result<Boot>> boot_slot(Env env, ChunkStore& store, Slots& slots, ModelHost& host);

}  // namespace skein
