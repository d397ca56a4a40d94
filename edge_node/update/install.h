// Installing a local .skein file into the slot: for one device without a coordinator. Loop thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/artifact/chunk_store.h"
#include "common/artifact/slots.h"
#include "common/env/env.h"

namespace skein {

class PageSource;
class Tokenizer;

// With an artifact's pages, and its vocabulary if that is in memory already; on Compute.
using Trial = std::function<Result<void>(PageSource&, std::shared_ptr<const Tokenizer>)>;
// Runs it with a stored artifact's pages, in the memory there is for weights. `cost` is what a
// simulator charges. Errc::kCorrupt: a page is damaged, and no longer in the store.
using TryOut = std::function<Task<Result<void>>(Digest artifact, Trial trial, Duration cost)>;

struct InstallOptions {
  std::string artifact_path;
  std::optional<PublicKey> key;  // its signature must be by this; nullopt: every page is checked,
                                 // the signature is not
  std::string marker_path;       // remembers what was installed from a file last
  TryOut try_out{};              // empty: with all its pages in memory
};

// The new slot; nullopt when this very file was installed before (and a newer update may stand in
// the slot by now). The same checks as an update from the coordinator: hashes, signature, canary.
Task<Result<std::optional<SlotState>>> install_artifact(Env env, ChunkStore& store, Slots& slots,
                                                        InstallOptions options);

}  // namespace skein
