#include "edge_node/app/internal/duty.h"

#include "kernels/isa/isa.h"

namespace skein {

namespace {
constexpr Duration kLearnCallLimit = std::chrono::seconds(30);

// Errors that the same offer would meet again: the round goes on without this device.
bool is_final(Errc code) {
  return code == Errc::kRefused || code == Errc::kNotFound || code == Errc::kUsage ||
         code == Errc::kUnsupported || code == Errc::kCorrupt;
}
}  // namespace

DeviceDuty::DeviceDuty(Env env, const EdgeConfig& config, ModelHost& host, Learner& learner)
    : env_(env), config_(config), host_(host), learner_(learner), learning_(env.executor) {}

void DeviceDuty::connect(Uplink& uplink, Updater& updater) {
  uplink_ = &uplink;
  updater_ = &updater;
}

Task<void> DeviceDuty::stop() { co_await learning_.stop(); }

Inventory DeviceDuty::inventory() const {
  Inventory inventory;
  inventory.software_version = SKEIN_VERSION;
  inventory.isa = name_of(current_isa());
  inventory.threads = static_cast<std::uint32_t>(env_.compute.parallel().threads());
  inventory.memory_bytes = config_.memory_bytes;
  inventory.free_disk_bytes = env_.disk.free_bytes(config_.data_dir).value_or(0);
  inventory.labels = config_.labels;
  return inventory;
}

Heartbeat DeviceDuty::compose() {
  Heartbeat heartbeat;
  heartbeat.inventory = inventory();
  if (const auto model = host_.current()) heartbeat.active = model->digest;
  if (const auto& slot = updater_->slot()) {
    heartbeat.previous = slot->previous;
    heartbeat.slot_generation = slot->generation;
  }
  heartbeat.steps = updater_->reports();
  return heartbeat;
}

void DeviceDuty::answered(const HeartbeatReply& reply) {
  updater_->recorded(reply.recorded);
  const auto model = host_.current();
  if (to_repair_ && model && model->digest == *to_repair_) to_repair_.reset();
  if (reply.offer) {
    to_repair_.reset();  // something newer is wanted
    updater_->offered(*reply.offer);
  } else if (to_repair_) {
    updater_->offered({kRepair, *to_repair_, 0});
  }
  if (reply.round && reply.round->round != settled_ && learning_.running() == 0) {
    learning_.spawn(learn(*reply.round));
  }
}

Task<Result<DeviceDuty::WholeModel>> DeviceDuty::open_whole(
    std::shared_ptr<const HostedModel> hosted, RoundOffer offer) {
  const Manifest& manifest = hosted->pages->manifest();
  CO_TRY(const std::uint64_t training, co_await learner_.memory(offer, manifest));
  auto lent =
      hosted->memory->lend(*hosted->budgeted, training + ModelHost::memory_of_whole(manifest));
  if (!lent) co_return tl::unexpected<Error>(within("training", std::move(lent.error())));
  Result<void> freed;
  std::function<void()> give_back = [&] {
    const auto stay = hosted->enter();
    if (!stay) freed = tl::unexpected<Error>(stay.error());
  };
  co_await env_.compute.run(std::move(give_back), forward_cost(manifest.config, 1));
  CO_TRY_VOID(freed);
  CO_TRY(auto model, co_await host_.open_whole(hosted->digest));
  co_return WholeModel{std::move(*lent), std::move(model)};
}

Task<void> DeviceDuty::learn(RoundOffer offer) {
  const RoundId round = offer.round;
  const auto hosted = host_.current();
  if (hosted == nullptr || hosted->digest != offer.artifact) co_return;  // offered again later
  std::optional<WholeModel> whole;
  if (hosted->memory != nullptr && config_.consent) {
    auto opened = co_await open_whole(hosted, offer);
    if (!opened) {
      const Errc code = opened.error().code;
      if (is_final(code) || code == Errc::kOutOfRoom) settled_ = round;
      env_.log.warn("round not joined",
                    {{"round", round.value()}, {"reason", to_string(opened.error())}});
      co_return;
    }
    whole.emplace(std::move(*opened));
  }
  const auto& learns = whole ? whole->model : hosted;
  LoadedModel model{learns->digest, {learns, learns->model.get()}};
  CoordinatorCall call = [this](Message request, Buffer payload) -> Task<Result<Envelope>> {
    const Instant deadline = env_.clock.now() + kLearnCallLimit;
    co_return co_await uplink_->call(std::move(request), std::move(payload), deadline);
  };
  const auto report =
      co_await learner_.take_part(std::move(offer), std::move(model), std::move(call));
  if (report) {
    settled_ = round;
    env_.log.info("round done", {{"round", round.value()},
                                 {"tokens", report->tokens},
                                 {"loss_before", report->loss_before},
                                 {"loss_after", report->loss_after},
                                 {"raw_bytes", report->raw_bytes},
                                 {"packed_bytes", report->packed_bytes},
                                 {"counted", report->counted ? "yes" : "no"}});
    co_return;
  }
  if (is_final(report.error().code)) settled_ = round;
  env_.log.warn("round not done",
                {{"round", round.value()}, {"reason", to_string(report.error())}});
}

}  // namespace skein
