#include "edge_node/app/internal/kept_states.h"

#include <algorithm>

namespace skein {

Result<void> check_state_name(std::string_view name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  if (!name.empty() && name.size() <= kMaxStateName && std::ranges::all_of(name, fits)) return {};
  return fail(Errc::kUsage, "a session's name is 1 to " + std::to_string(kMaxStateName) +
                                " letters, digits, '-', '_' and '.'");
}

KeptStates::Lease::~Lease() {
  if (states_ != nullptr) states_->leased_.erase(name_);
}

Result<void> KeptStates::Lease::put(KeptState state) {
  return states_->replace(name_, std::move(state));
}

Result<KeptStates::Lease> KeptStates::lease(std::string name) {
  TRY_VOID(check_free(name));
  leased_.insert(name);
  return Lease(*this, std::move(name));
}

Result<void> KeptStates::check_free(const std::string& name) const {
  if (!leased_.contains(name)) return {};
  return fail(Errc::kConflict, "an answer goes on from the session \"" + name + "\"", {},
              "wait for its end, or branch it first");
}

std::shared_ptr<const KeptState> KeptStates::find(const std::string& name) {
  expire();
  const auto found = entries_.find(name);
  if (found == entries_.end()) return nullptr;
  found->second.used = clock_.now();
  return found->second.kept;
}

Result<void> KeptStates::put(const std::string& name, KeptState state) {
  TRY_VOID(check_free(name));
  return replace(name, std::move(state));
}

Result<void> KeptStates::replace(const std::string& name, KeptState state) {
  expire();
  const std::size_t more = state.state.bytes();
  const auto old = entries_.find(name);
  const bool is_new = old == entries_.end();
  const std::size_t freed = is_new ? 0 : old->second.kept->state.bytes();
  while (entries_.size() + (is_new ? 1 : 0) > kMaxKeptStates ||
         bytes_ - freed + more > most_bytes_) {
    if (!drop_oldest(name)) {
      return fail(Errc::kOutOfRoom, "there is no room to keep the session \"" + name + "\"", {},
                  "delete others, or wait for the answers under way");
    }
  }
  bytes_ += more - freed;
  entries_[name] = {std::make_shared<const KeptState>(std::move(state)), clock_.now()};
  return {};
}

Result<bool> KeptStates::remove(const std::string& name) {
  TRY_VOID(check_free(name));
  expire();
  const auto found = entries_.find(name);
  if (found == entries_.end()) return false;
  erase(found);
  return true;
}

std::vector<KeptStates::Facts> KeptStates::all() {
  expire();
  std::vector<Facts> facts;
  for (const auto& [name, entry] : entries_) {
    const KeptState& kept = *entry.kept;
    facts.push_back(
        {name, kept.artifact, kept.state.step, kept.state.bytes(), clock_.now() - entry.used});
  }
  return facts;
}

void KeptStates::expire() {
  for (auto at = entries_.begin(); at != entries_.end();) {
    const auto entry = at++;
    const bool old = clock_.now() - entry->second.used > kKeptStateLifetime;
    if (old && !leased_.contains(entry->first)) erase(entry);
  }
}

bool KeptStates::drop_oldest(const std::string& except) {
  auto oldest = entries_.end();
  for (auto at = entries_.begin(); at != entries_.end(); ++at) {
    if (at->first == except || leased_.contains(at->first)) continue;
    if (oldest == entries_.end() || at->second.used < oldest->second.used) oldest = at;
  }
  if (oldest == entries_.end()) return false;
  erase(oldest);
  return true;
}

void KeptStates::erase(Entries::iterator entry) {
  bytes_ -= entry->second.kept->state.bytes();
  entries_.erase(entry);
}

}  // namespace skein
