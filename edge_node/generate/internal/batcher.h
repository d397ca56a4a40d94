// Batcher: continuous batching: one pass over the weights for all sessions of a model that wait,
// whether they feed a chunk of a prompt or one decoded token. Each gets the bits it would get alone
// (Runner's promise). Owned by its HostedModel; loop thread only, the passes run on Compute.
//
// A task runs passes for as long as somebody waits. When nothing runs, the next feed starts one at
// once. Between two passes it lets the loop turn a few times, until those whom the last pass
// answered have come back with their next token: else they would fall into groups that take turns,
// each with its own pass over the same weights.
#pragma once

#include <memory>
#include <vector>

#include "edge_node/generate/internal/pass_plan.h"
#include "edge_node/generate/model_host.h"
#include "edge_node/generate/token_picker.h"

namespace skein {

inline constexpr std::size_t kMaxWaiting = kMostRows;  // sessions; one row each must fit
inline constexpr Duration kMendPause = std::chrono::milliseconds(20);  // longer each time
inline constexpr int kSettleTurns = 16;  // of the loop, between two passes

// What a session computes with. A pass under way holds it too, so the session may go at any time.
struct Sequence {
  Sequence(RwkvState from, TokenPicker with) : state(std::move(from)), picker(std::move(with)) {}

  RwkvState state;
  TokenPicker picker;
  // The feed under way: each id < vocab.
  std::vector<TokenId> ids;
  bool picks = true;  // the id that follows the last
  Result<TokenId> picked = kEndOfText;
  // The batcher's own.
  std::size_t done = 0;           // of ids
  bool ended = true;              // all ids are fed, and `picked` says what follows
  std::uint64_t answered_by = 0;  // the pass that ended its last feed, if it is not back yet
};

class Batcher {
 public:
  Batcher(Env env, const Model& model, std::shared_ptr<PassCounters> counters);
  ~Batcher();
  Batcher(const Batcher&) = delete;
  Batcher& operator=(const Batcher&) = delete;

  // Feeds the sequence's ids (at least one) and gives what it picked. `stays` keeps model and
  // batcher. Errc::kOutOfRoom when kMaxWaiting others wait. Cancellable at any time; the sequence
  // is then of no further use.
  Task<Result<TokenId>> next(std::shared_ptr<Sequence> sequence,
                             std::shared_ptr<const HostedModel> stays);
  void leave(Sequence& sequence);  // it will not come back
  Task<void> stop();               // who waits gets Errc::kCancelled

 private:
  class Place;
  class Running;
  Task<void> run(std::shared_ptr<const HostedModel> stays);
  Task<void> settle();
  void gather();
  Task<void> pass(const HostedModel& hosted);
  void compute(const HostedModel& hosted, bool last);  // on Compute
  void compute_pass(const HostedModel& hosted, bool last);
  void give_back();
  void place_logits();
  void pass_over_fed();
  void feed_each();
  void give_up(std::size_t i, const Error& error);
  void pick(std::size_t place);
  void finish();

  struct Share {
    std::shared_ptr<Sequence> sequence;
    std::uint32_t rows = 0;
    bool failed = false;  // its `picked` says why
  };

  Env env_;
  const Model& model_;
  Runner runner_;
  std::shared_ptr<PassCounters> counters_;
  std::vector<std::shared_ptr<Sequence>> waiting_;  // in order of arrival
  // The pass under way; Compute's while it runs.
  std::vector<Share> pass_;
  std::vector<WaitingFeed> plan_;
  std::vector<Feed> feeds_;  // what is left of each share
  std::vector<Step> steps_;  // of their states, when feeds_ was made
  Result<void> outcome_;
  std::vector<std::size_t> picking_;  // places in pass_
  std::vector<float> logits_;         // (picking_.size(), vocab)
  std::uint32_t planned_ = 1;         // sessions that memory was planned for
  Runner::Counters counted_;          // of runner_, so far
  std::uint64_t number_ = 0;          // of passes
  std::size_t away_ = 0;              // answered by the last pass, and not back
  bool running_ = false;
  bool stopped_ = false;
  Signal ended_;
  TaskGroup tasks_;
};

}  // namespace skein
