// DeviceDuty: what this device says in its heartbeats, and what it does about the answers. Owned by
// the node; loop thread only. stop() before destroying.
#pragma once

#include <optional>

#include "edge_node/app/config.h"
#include "edge_node/generate/model_host.h"
#include "edge_node/learn/learner.h"
#include "edge_node/link/coordinator_link.h"
#include "edge_node/update/updater.h"

namespace skein {

class DeviceDuty final : public HeartbeatDuty {
 public:
  DeviceDuty(Env env, const EdgeConfig& config, ModelHost& host, Learner& learner);
  // The link and the updater know each other through this one, so they are told last.
  void connect(Uplink& uplink, Updater& updater);
  void repair(Digest artifact) { to_repair_ = artifact; }
  Task<void> stop();

  Heartbeat compose() override;
  void answered(const HeartbeatReply& reply) override;

 private:
  Inventory inventory() const;
  Task<void> learn(RoundOffer offer);
  // A model to learn from under a budget, in memory that its answering twin lends.
  struct WholeModel {
    WeightMemory::Loan loan;
    std::shared_ptr<const HostedModel> model;
  };
  Task<Result<WholeModel>> open_whole(std::shared_ptr<const HostedModel> hosted, RoundOffer offer);

  Env env_;
  const EdgeConfig& config_;
  ModelHost& host_;
  Learner& learner_;
  Uplink* uplink_ = nullptr;
  Updater* updater_ = nullptr;
  std::optional<Digest> to_repair_;
  TaskGroup learning_;
  std::optional<RoundId> settled_;  // the last round that needs nothing more
};

}  // namespace skein
