// A coordinator's federation over a world in memory: restarts keep the disk's synced bytes and the
// database. Tests only.
#pragma once

#include <gtest/gtest.h>

#include "common/crypto/sha256.h"
#include "common/pack/pack.h"
#include "common/store/database.h"
#include "coordinator/federation/round_controller.h"
#include "edge_node/learn/trainer.h"
#include "tests/support/golden_model.h"
#include "tests/support/test_world.h"

namespace skein::test {

inline std::string warm_joints(int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += "arm 3: joint warm, slow down. ";
  return text;
}

// One device's update, ready to send.
struct SampleUpdate {
  UploadBegin begin;
  Buffer packed;
};

inline SampleUpdate sample_update(RoundId round, std::span<const float> delta,
                                  std::uint64_t tokens) {
  SampleUpdate update;
  update.packed = pack_floats(delta);
  update.begin = {.round = round,
                  .content = sha256(update.packed),
                  .bytes = update.packed.size(),
                  .raw_bytes = delta.size_bytes(),
                  .tokens = tokens,
                  .loss_before = 5,
                  .loss_after = 4};
  return update;
}

// What many worlds may share: the base, and what training on warm_joints gives.
struct Lesson {
  GoldenModel golden;
  std::vector<float> delta;
  Lesson() {
    auto ids = golden.model->tokenizer()->encode(warm_joints(4));
    const auto trainer = Trainer::make(*golden.model, std::move(*ids),
                                       {.learning_rate = 0.05F, .epochs = 2, .context = 32});
    while (!(*trainer)->done()) (*trainer)->next_window();
    delta = (*trainer)->update().delta;
  }
};

class RoundWorld {
 public:
  explicit RoundWorld(std::shared_ptr<const Lesson> taught = std::make_shared<Lesson>())
      : lesson(std::move(taught)), golden(lesson->golden) {
    world.disk.place("held/out.txt", to_buffer(warm_joints(2)));
    start();
  }

  // As a new process would: everything in memory is forgotten, the database is not.
  Result<void> restart(MemoryDisk::Cut cut = MemoryDisk::Cut::kForgetsUnsynced) {
    controller.reset();
    world.disk.crash(cut);
    return start();
  }
  Result<void> start() {
    store = std::move(*open_round_store(*database));
    const RoundControllerOptions options{
        .directory = "uploads", .held_out_path = "held/out.txt", .eval_context = 32};
    RoundHands hands{.open_artifact = [this](Digest digest) { return open(digest); },
                     .publish = [this](RoundId, auto made) { return publish(std::move(made)); }};
    controller = std::make_unique<RoundController>(world.env(), *store, options, std::move(hands));
    return run_task(controller->restore());
  }

  RoundPlan plan(std::uint32_t quorum, std::uint32_t invite) const {
    RoundPlan made{.offer = {}, .quorum = quorum, .invite = invite, .seconds = 600};
    made.offer.artifact = golden.digest;
    made.offer.learning_rate = 0.05F;
    made.offer.epochs = 2;
    made.offer.context = 32;
    return made;
  }
  RoundId open_round(std::uint32_t quorum, std::uint32_t invite) {
    const auto round = run_task(controller->open_round(plan(quorum, invite)));
    EXPECT_TRUE(round) << to_string(round.error());
    return round.value_or(RoundId());
  }
  bool offered(std::uint64_t device) {
    const auto offer = controller->offer_for(DeviceId(device), golden.digest);
    return offer && offer->has_value();
  }

  Result<UploadStatus> begin(std::uint64_t device, const UploadBegin& upload) {
    return run_task(controller->begin_upload(DeviceId(device), upload));
  }
  Result<UploadStatus> chunk(std::uint64_t device, RoundId round, std::uint64_t offset,
                             ByteView bytes) {
    return run_task(controller->take_chunk(DeviceId(device), {.round = round, .offset = offset},
                                           to_buffer(bytes)));
  }
  // Offer, begin, and every chunk the coordinator lacks.
  Result<UploadStatus> send(std::uint64_t device, const SampleUpdate& update,
                            std::size_t chunk_bytes = 12000) {
    offered(device);
    TRY(UploadStatus at, begin(device, update.begin));
    while (!at.complete) {
      const std::size_t left = update.packed.size() - at.have_bytes;
      const ByteView bytes =
          ByteView(update.packed).subspan(at.have_bytes, std::min(chunk_bytes, left));
      TRY(at, chunk(device, update.begin.round, at.have_bytes, bytes));
    }
    return at;
  }
  Result<void> tick() { return run_task(controller->tick()); }
  RoundStatus status(RoundId round) const { return *controller->round(round); }

  // Good for the held-out text; different for each device.
  SampleUpdate good_update(RoundId round, std::uint64_t device) {
    std::vector<float> delta = lesson->delta;
    for (float& value : delta) value *= 1 - 0.1F * static_cast<float>(device % 5);
    return sample_update(round, delta, 100 + device);
  }

  std::shared_ptr<const Lesson> lesson;
  const GoldenModel& golden;
  TestWorld world;
  std::unique_ptr<Database> database = std::move(*Database::open_in_memory());
  std::unique_ptr<RoundStore> store;
  std::unique_ptr<RoundController> controller;
  std::vector<std::shared_ptr<MemoryArtifact>> published;
  int publishing_fails = 0;  // times

 private:
  Task<Result<std::shared_ptr<PageSource>>> open(Digest digest) {
    if (digest != golden.digest) co_return fail(Errc::kNotFound, "there is no such artifact");
    co_return std::shared_ptr<PageSource>(golden.artifact.get(), [](PageSource*) {});
  }
  Task<Result<void>> publish(std::shared_ptr<MemoryArtifact> artifact) {
    if (publishing_fails > 0) {
      --publishing_fails;
      co_return fail(Errc::kUnavailable, "the registry is busy");
    }
    published.push_back(std::move(artifact));
    co_return Result<void>{};
  }
};

inline Digest digest_of(const MemoryArtifact& artifact) {
  return manifest_digest(encode_manifest(artifact.manifest()));
}

}  // namespace skein::test
