// EdgeNode: one device: its slot, its updates, its answers over HTTP, its link to a coordinator.
// Made by main (or the simulator) on the Env's loop thread and used there only. start() once;
// drain() or stop() before destroying.
#pragma once

#include <memory>
#include <optional>

#include "common/env/env.h"
#include "common/env/network.h"
#include "edge_node/app/config.h"

namespace skein {

inline constexpr std::size_t kMaxAnswers = 16;  // at once; more are told to come back (503)
inline constexpr Duration kDrainLimit = std::chrono::seconds(30);

class EdgeNode {
 public:
  EdgeNode(Env env, EdgeConfig config);
  ~EdgeNode();
  EdgeNode(const EdgeNode&) = delete;
  EdgeNode& operator=(const EdgeNode&) = delete;

  // Reads what is on disk, loads a verified slot if there is one, listens. Whatever a crash left
  // half done is taken up again from here.
  Task<Result<void>> start();
  Task<void> drain();  // no new answers; running ones end (kDrainLimit); then stop()
  Task<void> stop();
  Endpoint http() const;  // the address really bound
  // The artifact that answers come from now.
  std::optional<Digest> active() const;

 private:
  class Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace skein
