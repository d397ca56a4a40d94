// KeptStates: recurrent states that outlive their answers, by a name that the asker chose: bounded
// by count, bytes and age. Owned by the node; loop thread only.
//
// An answer computes on a copy and puts the result back at its end: one that fails or is cancelled
// leaves the state where it was.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/env/env.h"
#include "common/model/state.h"

namespace skein {

inline constexpr std::size_t kMaxKeptStates = 64;
inline constexpr std::size_t kMaxKeptStateBytes = 512U << 20;          // of all of them
inline constexpr Duration kKeptStateLifetime = std::chrono::hours(1);  // since it was last used
inline constexpr std::size_t kMaxStateName = 64;

struct KeptState {
  Digest artifact;
  RwkvState state;
};

// Errc::kUsage: a name is 1 to kMaxStateName letters, digits, '-', '_' and '.'.
Result<void> check_state_name(std::string_view name);

class KeptStates {
 public:
  explicit KeptStates(const Clock& clock, std::size_t most_bytes = kMaxKeptStateBytes)
      : clock_(clock), most_bytes_(most_bytes) {}

  // nullptr when there is none (any more). Counts as a use.
  std::shared_ptr<const KeptState> find(const std::string& name);
  // Replaces what has that name. The longest unused go to make room. Errc::kOutOfRoom when that is
  // not enough, Errc::kConflict while an answer goes on from it.
  Result<void> put(const std::string& name, KeptState state);
  // False when there was none. Errc::kConflict as put.
  Result<bool> remove(const std::string& name);

  // The name is an answer's until the lease ends: nobody else's, and never in the way of others'
  // room. Errc::kConflict when it is another's already.
  class Lease {
   public:
    Lease(Lease&& other) noexcept
        : states_(std::exchange(other.states_, nullptr)), name_(other.name_) {}
    ~Lease();
    const std::string& name() const { return name_; }
    Result<void> put(KeptState state);

   private:
    friend class KeptStates;
    Lease(KeptStates& states, std::string name) : states_(&states), name_(std::move(name)) {}
    KeptStates* states_;
    std::string name_;
  };
  Result<Lease> lease(std::string name);

  struct Facts {
    std::string name;
    Digest artifact;
    Step tokens;
    std::size_t bytes;
    Duration idle;
  };
  std::vector<Facts> all();  // by name
  std::size_t count() const { return entries_.size(); }
  std::size_t leases() const { return leased_.size(); }
  std::size_t bytes() const { return bytes_; }

 private:
  struct Entry {
    std::shared_ptr<const KeptState> kept;
    Instant used;
  };
  using Entries = std::map<std::string, Entry>;
  Result<void> check_free(const std::string& name) const;
  Result<void> replace(const std::string& name, KeptState state);
  void expire();
  bool drop_oldest(const std::string& except);
  void erase(Entries::iterator entry);

  const Clock& clock_;
  const std::size_t most_bytes_;
  Entries entries_;
  std::set<std::string> leased_;
  std::size_t bytes_ = 0;
};

}  // namespace skein
