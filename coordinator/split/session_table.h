// SessionTable: the split sessions this coordinator holds, bounded and expiring. Owned by
// SplitServer; loop thread only. A session belongs to the device whose certificate opened it: its
// key is (device, session), so no device can reach another's.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "common/env/task.h"
#include "common/model/model.h"
#include "common/wire/messages.h"

namespace skein {

inline constexpr std::size_t kMaxSessions = 64;
inline constexpr std::size_t kMaxSessionsPerDevice = 8;

// Weights and the pages they lie in; shared by the sessions over one artifact.
struct SplitModel {
  Digest artifact;
  std::shared_ptr<PageSource> pages;
  std::unique_ptr<Model> model;
};

// Everything one step is computed with, apart from the session, so that a step that is given up
// half way leaves the session as it was.
struct SplitWork {
  SplitWork(std::shared_ptr<const SplitModel> with, Parallel& parallel);
  std::shared_ptr<const SplitModel> model;
  Runner runner;
  RwkvState state;
  Activation activation;
  Buffer request;
  Buffer reply;
};

struct ServedSession {
  SplitOpen opened;
  DeviceId device{};
  std::shared_ptr<const SplitModel> model;
  RwkvState state;  // before step `next`
  Step next{};
  std::shared_ptr<SplitWork> spare;  // of an earlier step, for the next
  // The last step, for a client that lost the reply.
  std::optional<SplitStep> last;
  Digest last_request;  // SHA-256 of its payload: the same step with other bytes is another step
  Buffer last_reply;
  bool busy = false;  // a step is being computed
  Instant used{};
};

class SessionTable {
 public:
  explicit SessionTable(Duration idle_limit) : idle_limit_(idle_limit) {}

  std::shared_ptr<ServedSession> find(DeviceId device, SessionId session) const;  // or nullptr
  // Makes room: idle ones go first, then the device's own oldest beyond its share. Errc::kOutOfRoom
  // when every place is taken by a live session of others.
  Result<void> add(std::shared_ptr<ServedSession> session, Instant now);
  void remove(DeviceId device, SessionId session);
  void remove_all_of(DeviceId device);
  void expire(Instant now);
  std::size_t size() const { return sessions_.size(); }
  std::vector<std::shared_ptr<const ServedSession>> all() const;

 private:
  using Key = std::pair<DeviceId, SessionId>;
  std::optional<Key> oldest_idle_of(DeviceId device) const;
  std::size_t count_of(DeviceId device) const;

  Duration idle_limit_;
  std::map<Key, std::shared_ptr<ServedSession>> sessions_;
};

}  // namespace skein
