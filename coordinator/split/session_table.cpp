#include "coordinator/split/session_table.h"

#include <algorithm>

namespace skein {

SplitWork::SplitWork(std::shared_ptr<const SplitModel> with, Parallel& parallel)
    : model(std::move(with)), runner(*model->model, parallel) {}

std::shared_ptr<ServedSession> SessionTable::find(DeviceId device, SessionId session) const {
  const auto found = sessions_.find({device, session});
  return found == sessions_.end() ? nullptr : found->second;
}

Result<void> SessionTable::add(std::shared_ptr<ServedSession> session, Instant now) {
  const Key key{session->device, session->opened.session};
  expire(now);
  if (count_of(key.first) >= kMaxSessionsPerDevice) {
    if (const auto oldest = oldest_idle_of(key.first)) sessions_.erase(*oldest);
  }
  if (sessions_.size() >= kMaxSessions || count_of(key.first) >= kMaxSessionsPerDevice) {
    return fail(Errc::kOutOfRoom,
                "all " + std::to_string(kMaxSessions) + " split sessions are in use", {},
                "run the layers on the device, or try again later");
  }
  session->used = now;
  sessions_.insert_or_assign(key, std::move(session));
  return {};
}

void SessionTable::remove(DeviceId device, SessionId session) {
  sessions_.erase({device, session});
}

void SessionTable::remove_all_of(DeviceId device) {
  std::erase_if(sessions_, [&](const auto& entry) { return entry.first.first == device; });
}

void SessionTable::expire(Instant now) {
  std::erase_if(sessions_, [&](const auto& entry) {
    return !entry.second->busy && now - entry.second->used > idle_limit_;
  });
}

std::vector<std::shared_ptr<const ServedSession>> SessionTable::all() const {
  std::vector<std::shared_ptr<const ServedSession>> list;
  for (const auto& [key, session] : sessions_) list.push_back(session);
  return list;
}

std::optional<SessionTable::Key> SessionTable::oldest_idle_of(DeviceId device) const {
  std::optional<Key> oldest;
  for (const auto& [key, session] : sessions_) {
    if (key.first != device || session->busy) continue;
    if (!oldest || session->used < sessions_.at(*oldest)->used) oldest = key;
  }
  return oldest;
}

std::size_t SessionTable::count_of(DeviceId device) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      sessions_, [&](const auto& entry) { return entry.first.first == device; }));
}

}  // namespace skein
