// Installing a local .skein file into the slot: for one device without a coordinator. Loop thread.
#pragma once

#include <optional>
#include <string>

#include "common/artifact/chunk_store.h"
#include "common/artifact/slots.h"
#include "common/env/env.h"

namespace skein {

struct InstallOptions {
  std::string artifact_path;
  std::optional<PublicKey> key;  // its signature must be by this; nullopt: every page is checked,
                                 // the signature is not
  std::string marker_path;       // remembers what was installed from a file last
};

// The new slot; nullopt when this very file was installed before (and a newer update may stand in
// the slot by now). The same checks as an update from the coordinator: hashes, signature, canary.
Task<Result<std::optional<SlotState>>> install_artifact(Env env, ChunkStore& store, Slots& slots,
                                                        InstallOptions options);

}  // namespace skein
