// Rooms: what the two ports speak to, and the counters they keep. Owned by Coordinator; loop thread
// only. No logic of its own.
#pragma once

#include <cstdint>
#include <string>

#include "common/env/env.h"
#include "coordinator/app/config.h"
#include "coordinator/federation/round_controller.h"
#include "coordinator/registry/artifact_registry.h"
#include "coordinator/registry/device_registry.h"
#include "coordinator/registry/inbox.h"
#include "coordinator/rollout/rollout_controller.h"
#include "coordinator/split/split_server.h"

namespace skein {

struct TrafficCounters {
  std::uint64_t heartbeats = 0;
  std::uint64_t enrolments = 0;
  std::uint64_t refusals = 0;  // requests answered with kRefused
  std::uint64_t manifests_sent = 0;
  std::uint64_t pages_sent = 0;
  std::uint64_t page_bytes_sent = 0;
  std::uint64_t upload_bytes = 0;
  std::uint64_t admin_requests = 0;
};

struct Rooms {
  Env env;
  const CoordinatorConfig& config;
  DeviceRegistry& devices;
  ArtifactRegistry& artifacts;
  Inbox& inbox;
  RolloutController& rollouts;
  RoundController& rounds;
  SplitServer& split;
  TrafficCounters& traffic;
};

// The devices that may get work, as a rollout takes them in.
std::vector<DeviceJoined> fleet_of(const DeviceRegistry& devices);
// A rollout of this artifact, started; one that is under way or done already is left alone. When
// another rollout is active it waits, ready, for the operator.
Result<void> roll_out(Rooms& rooms, const Digest& artifact);

}  // namespace skein
