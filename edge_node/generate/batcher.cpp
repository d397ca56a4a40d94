#include "edge_node/generate/internal/batcher.h"

#include <algorithm>

#include "common/base/check.h"

namespace skein {

// A sequence's place among those that wait, given back however its task ends.
class Batcher::Place {
 public:
  Place(Batcher& batcher, std::shared_ptr<Sequence> sequence)
      : batcher_(batcher), sequence_(std::move(sequence)) {
    batcher_.leave(*sequence_);  // it is back
    sequence_->done = 0;
    sequence_->ended = false;
    batcher_.waiting_.push_back(sequence_);
  }
  ~Place() { std::erase(batcher_.waiting_, sequence_); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

 private:
  Batcher& batcher_;
  std::shared_ptr<Sequence> sequence_;
};

class Batcher::Running {
 public:
  explicit Running(Batcher& batcher) : batcher_(batcher) {}
  ~Running() {
    batcher_.pass_.clear();
    batcher_.running_ = false;
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  Batcher& batcher_;
};

Batcher::Batcher(Env env, const Model& model, std::shared_ptr<PassCounters> counters)
    : env_(env),
      model_(model),
      runner_(model, env.compute.parallel()),
      counters_(std::move(counters)),
      ended_(env.executor),
      tasks_(env.executor) {
  waiting_.reserve(kMaxWaiting);
  pass_.reserve(kMaxWaiting);
  plan_.reserve(kMaxWaiting);
  feeds_.reserve(kMaxWaiting);
  steps_.reserve(kMaxWaiting);
  picking_.reserve(kMaxWaiting);
}
Batcher::~Batcher() = default;

Task<Result<TokenId>> Batcher::next(std::shared_ptr<Sequence> sequence,
                                    std::shared_ptr<const HostedModel> stays) {
  CHECK(!sequence->ids.empty() && sequence->ended);
  if (waiting_.size() == kMaxWaiting) {
    co_return fail(Errc::kOutOfRoom, std::to_string(kMaxWaiting) + " sessions compute already", {},
                   "try again later");
  }
  const Place place(*this, sequence);
  if (!running_ && !stopped_) {
    running_ = true;
    tasks_.spawn(run(stays));
  }
  while (!sequence->ended && !stopped_) co_await ended_.wait();
  if (!sequence->ended) co_return fail(Errc::kCancelled, "the model is being put away");
  co_return sequence->picked;
}

void Batcher::leave(Sequence& sequence) {
  if (sequence.answered_by == number_ && away_ > 0) --away_;
  sequence.answered_by = 0;
}

Task<void> Batcher::stop() {
  stopped_ = true;
  ended_.notify_all();
  co_await tasks_.stop();
}

Task<void> Batcher::run(std::shared_ptr<const HostedModel> stays) {
  const Running running(*this);
  while (!waiting_.empty()) {
    co_await settle();
    gather();
    if (pass_.empty()) break;
    co_await pass(*stays);
    finish();
  }
}

// After a page that was mended the pass goes on where it stopped, its states as they were then;
// what cannot be mended ends the sessions that need it.
Task<void> Batcher::pass(const HostedModel& hosted) {
  std::size_t rows = 0;
  for (const Share& share : pass_) rows += share.rows;
  bool last = !hosted.mend;
  for (unsigned tries = 1;; ++tries) {
    std::function<void()> job = [&] { compute(hosted, last); };
    co_await env_.compute.run(std::move(job), forward_cost(model_.config(), rows));
    if (outcome_ || last) co_return;
    last = tries == kMostMends || !is_page_trouble(outcome_.error().code);
    if (last) continue;
    if (const auto mended = co_await hosted.mend(); !mended) {
      env_.log.error("page not mended", {{"reason", to_string(mended.error())}});
      last = true;
    } else {
      co_await env_.clock.sleep_for(kMendPause * tries);
    }
  }
}

Task<void> Batcher::settle() {
  for (int turn = 0; turn < kSettleTurns && away_ > 0; ++turn) {
    co_await env_.clock.sleep_until(env_.clock.now());
  }
}

void Batcher::gather() {
  ++number_;
  away_ = 0;
  plan_.clear();
  for (const auto& sequence : waiting_) plan_.push_back({sequence->ids.size() - sequence->done});
  plan_pass(plan_);
  feeds_.clear();
  steps_.clear();
  picking_.clear();
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    Sequence& sequence = *waiting_[i];
    const std::uint32_t rows = plan_[i].rows;
    pass_.push_back({waiting_[i], rows, false});
    feeds_.push_back({std::span(sequence.ids).subspan(sequence.done, rows), &sequence.state, {}});
    steps_.push_back(sequence.state.step);
    if (sequence.picks && rows == plan_[i].tokens) picking_.push_back(i);
  }
}

void Batcher::give_back() {
  runner_.give_back();
  logits_ = std::vector<float>();
}

void Batcher::compute(const HostedModel& hosted, bool last) {
  if (hosted.memory == nullptr) return compute_pass(hosted, last);
  // What more sessions took, before weights take its place; and another model's.
  const std::uint32_t before = std::exchange(planned_, hosted.memory->planned_sessions());
  if (planned_ < before) give_back();
  compute_pass(hosted, last);
  if (hosted.memory->takes_turns()) give_back();
}

void Batcher::compute_pass(const HostedModel& hosted, bool last) {
  const auto stay = hosted.enter();
  if (!stay) {
    outcome_ = tl::unexpected<Error>(stay.error());
    for (std::size_t i = 0; last && i < pass_.size(); ++i) give_up(i, stay.error());
    return;
  }
  place_logits();
  outcome_ = runner_.feed(feeds_);
  if (!outcome_) {
    pass_over_fed();
    if (!last) return;
    feed_each();
  }
  struct Picks {
    Batcher& batcher;
    void run(std::size_t place) const { batcher.pick(place); }
  } picks{*this};
  run_tasks(env_.compute.parallel(), picking_.size(), picks);
}

// One after another, so that the head's product goes straight to them.
void Batcher::place_logits() {
  const std::size_t vocab = model_.config().vocab;
  if (logits_.size() < picking_.size() * vocab) logits_.resize(picking_.size() * vocab);
  for (std::size_t place = 0; place < picking_.size(); ++place) {
    Feed& feed = feeds_[picking_[place]];
    feed.logits = std::span(logits_).subspan(place * vocab, vocab);
    feed.most = pass_[picking_[place]].sequence->picker.most();
  }
}

// A model with little memory takes a pass in several parts, and some were done before the error.
void Batcher::pass_over_fed() {
  for (std::size_t i = 0; i < feeds_.size(); ++i) {
    const Step now = feeds_[i].state->step;
    feeds_[i].tokens = feeds_[i].tokens.subspan(now.value() - steps_[i].value());
    steps_[i] = now;
  }
}

void Batcher::give_up(std::size_t i, const Error& error) {
  pass_[i].failed = true;
  pass_[i].sequence->picked = tl::unexpected<Error>(error);
}

// A token's row could not be read, and the states are as before: whose it was is told, the others
// get what they would have got.
void Batcher::feed_each() {
  for (std::size_t i = 0; i < feeds_.size(); ++i) {
    const Result<void> fed = runner_.feed(std::span(feeds_).subspan(i, 1));
    if (!fed) give_up(i, fed.error());
  }
}

void Batcher::pick(std::size_t place) {
  const std::size_t vocab = model_.config().vocab;
  const Share& share = pass_[picking_[place]];
  if (share.failed) return;
  share.sequence->picked =
      share.sequence->picker.pick(std::span(logits_).subspan(place * vocab, vocab));
}

void Batcher::finish() {
  counters_->passes += 1;
  counters_->sequences += pass_.size();
  for (const Share& share : pass_) {
    Sequence& sequence = *share.sequence;
    counters_->rows += share.rows;
    sequence.done = share.failed ? sequence.ids.size() : sequence.done + share.rows;
    if (sequence.done < sequence.ids.size()) continue;
    if (std::erase(waiting_, share.sequence) == 0) continue;  // its session is gone
    sequence.ended = true;
    sequence.answered_by = number_;
    ++away_;
  }
  const Runner::Counters& now = runner_.counters();
  counters_->value_rows_read += now.value_rows_read - counted_.value_rows_read;
  counters_->value_rows_total += now.value_rows_total - counted_.value_rows_total;
  counted_ = now;
  pass_.clear();
  ended_.notify_all();
}

}  // namespace skein
