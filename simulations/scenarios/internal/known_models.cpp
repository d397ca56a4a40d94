#include "simulations/scenarios/internal/known_models.h"

#include "common/artifact/chunk_store.h"
#include "common/artifact/slots.h"
#include "common/base/check.h"
#include "common/model/sampler.h"
#include "simulations/checkers/frozen_disk.h"

namespace skein::story {

struct KnownModels::Known {
  // What the pages came from outlives them.
  std::unique_ptr<FrozenDisk> disk;
  std::unique_ptr<ChunkStore> store;
  std::shared_ptr<PageSource> pages;
  std::unique_ptr<Model> model;
};

KnownModels::KnownModels() = default;
KnownModels::~KnownModels() = default;

void KnownModels::add(std::shared_ptr<PageSource> pages) {
  auto known = std::make_unique<Known>();
  known->pages = std::move(pages);
  known->model = Model::open(*known->pages).value();
  const Digest digest = manifest_digest(encode_manifest(known->pages->manifest()));
  models_.insert_or_assign(digest.hex(), std::move(known));
}

bool KnownModels::add_from_slot(const World& world, const SlotPlace& place) {
  auto known = std::make_unique<Known>();
  known->disk = std::make_unique<FrozenDisk>(world, place.node);
  known->store = std::make_unique<ChunkStore>(*known->disk, place.chunks);
  Slots slots(*known->disk, place.slots);
  const auto state = run_now(slots.load());
  if (!state || !*state) return false;
  auto pages = run_now(SlotPages::open(*known->store, (*state)->active));
  if (!pages || !(*pages)->verify_all()) return false;
  known->pages = std::move(*pages);
  known->model = Model::open(*known->pages).value();
  models_.insert_or_assign((*state)->active.hex(), std::move(known));
  return true;
}

std::string KnownModels::continuation(const std::string& digest_hex, const std::string& prompt,
                                      std::uint32_t count) const {
  const Model& model = *models_.at(digest_hex)->model;
  SerialParallel serial;
  Runner runner(model, serial);
  RwkvState state = model.initial_state();
  std::vector<float> logits(model.config().vocab);
  for (const TokenId id : model.tokenizer()->encode(prompt).value()) {
    CHECK(runner.step(id, state, logits));
  }
  Sampler greedy({.temperature = 0});
  std::string text;
  for (std::uint32_t made = 0; made < count; ++made) {
    const TokenId id = greedy.pick(logits);
    if (id == kEndOfText) break;
    text += model.tokenizer()->bytes_of(id);
    CHECK(runner.step(id, state, logits));
  }
  return text;
}

}  // namespace skein::story
