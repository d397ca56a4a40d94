// SplitMachine: what to do next for one batch of tokens whose upper layers run on the coordinator.
// Pure value; any thread. Owned by a SplitSession, which carries out the actions.
//
// The upper layers' state is recurrent and lives over there: a step must be run exactly once. The
// server answers the last step again from what it stored, so after a broken call the very same step
// is repeated; whenever that cannot be done in time, or the server's state is not ours any more,
// the session turns local for good. Its tokens are the same either way.
#pragma once

#include <cstdint>
#include <variant>

#include "common/base/ids.h"
#include "common/base/result.h"

namespace skein {

inline constexpr unsigned kMaxReopens = 2;  // per batch; then the session turns local

struct SplitEvent {
  struct Fed {  // a batch went through the local layers
    std::uint32_t count = 0;
  };
  struct Opened {
    Step next{};  // the step the server expects
  };
  struct Answered {};
  struct CallFailed {
    Errc code = Errc::kUnavailable;
  };
  struct LinkBack {};
  struct LinkGone {};  // it did not come back in time
};
using AnySplitEvent =
    std::variant<SplitEvent::Fed, SplitEvent::Opened, SplitEvent::Answered, SplitEvent::CallFailed,
                 SplitEvent::LinkBack, SplitEvent::LinkGone>;

enum class SplitAction : unsigned char {
  kOpen,      // SplitOpen: then Opened or CallFailed
  kSend,      // SplitStep for this batch, at step(): then Answered or CallFailed
  kWaitLink,  // a short while: then LinkBack or LinkGone
  kUseReply,  // the batch is done
  kGoLocal,   // rebuild the upper layers' state here and go on alone; the machine is at its end
};

class SplitMachine {
 public:
  SplitAction step(const AnySplitEvent& event);

  bool local() const { return local_; }
  Step base() const { return base_; }  // tokens the server has answered: the batch's step number

 private:
  SplitAction on(const SplitEvent::Fed& event);
  SplitAction on(const SplitEvent::Opened& event);
  SplitAction on(const SplitEvent::Answered& event);
  SplitAction on(const SplitEvent::CallFailed& event);
  SplitAction on(const SplitEvent::LinkBack& event);
  SplitAction on(const SplitEvent::LinkGone& event);
  SplitAction go_local();

  Step base_{0};
  std::uint32_t batch_ = 0;
  unsigned reopens_ = 0;  // of this batch
  bool opened_ = false;
  bool local_ = false;
};

}  // namespace skein
