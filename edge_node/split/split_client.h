// SplitClient: sessions whose layers 0...k-1 run here and k...L-1 on the coordinator; embedding and
// head stay here. Owned by the app; loop thread only. Outlives its sessions; stop() before
// destroying.
//
// When the coordinator is lost in the middle of an answer, the session replays the ids it was fed
// through its own copy of every layer and goes on alone: the same tokens, since both sides compute
// the same bits.
#pragma once

#include <memory>

#include "edge_node/generate/session.h"
#include "edge_node/link/uplink.h"

namespace skein {

inline constexpr Duration kSplitStepLimit = std::chrono::seconds(10);      // one step message
inline constexpr Duration kSplitReconnectLimit = std::chrono::seconds(2);  // then alone
inline constexpr std::size_t kSplitPrefill = 64;  // tokens per step message, when they fit

class SplitClient {
 public:
  SplitClient(Env env, Uplink& uplink);
  Task<void> stop();

  // Whether layers [first_layer, layers) can run elsewhere: 0 < first_layer < layers.
  static bool can_split(const ModelConfig& config, std::uint32_t first_layer);
  // Says nothing to the coordinator yet. `first_layer` must be one that can_split.
  std::unique_ptr<Session> open(std::shared_ptr<const HostedModel> model, TokenPicker picker,
                                std::uint32_t first_layer);

  struct Counters {
    std::uint64_t sessions = 0, steps = 0, repeats = 0, fallbacks = 0, replayed_tokens = 0;
  };
  const Counters& counters() const { return counters_; }

 private:
  friend class SplitSession;
  void close_later(SessionId session);
  Task<void> close(SessionId session);

  Env env_;
  Uplink& uplink_;
  Counters counters_;
  TaskGroup closing_;
};

}  // namespace skein
