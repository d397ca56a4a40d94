#include "coordinator/federation/internal/round_work.h"

#include "common/env/disk.h"

namespace skein {
namespace {

constexpr std::uint64_t kMaxHeldOutBytes = 64U << 20;
constexpr std::uint32_t kMaxAttempts = 5;  // at finishing a round; then it has failed

std::string place(RoundId round) { return "round " + std::to_string(round.value()); }

// True while it lives.
class Flag {
 public:
  explicit Flag(bool& flag) : flag_(flag) { flag_ = true; }
  ~Flag() { flag_ = false; }
  Flag(const Flag&) = delete;
  Flag& operator=(const Flag&) = delete;

 private:
  bool& flag_;
};

}  // namespace

Task<Result<void>> RoundController::Work::restore() {
  CO_TRY_VOID(co_await files_.prepare());
  CO_TRY(std::vector<RoundRecord> records, store_.load(kMaxKeptRounds));
  for (RoundRecord& record : records) {
    const RoundId round = record.round;
    const bool over = ended(record.phase);
    rounds_.insert_or_assign(round, RoundMachine(std::move(record)));
    if (over) CO_TRY_VOID(co_await files_.remove_all(round));
  }
  co_return Result<void>{};
}

Result<RoundMachine*> RoundController::Work::find(RoundId round) {
  const auto found = rounds_.find(round);
  if (found == rounds_.end()) return fail(Errc::kNotFound, "there is no such round", place(round));
  return &found->second;
}

RoundMachine* RoundController::Work::running() {
  for (auto& [round, machine] : rounds_) {
    if (!ended(machine.record().phase)) return &machine;
  }
  return nullptr;
}

Result<RoundAction> RoundController::Work::advance(RoundId round, const RoundEvent& event) {
  TRY(RoundMachine * machine, find(round));
  RoundMachine next = *machine;
  TRY(const RoundAction action, next.step(event, env_.clock.wall_now()));
  if (next.record() == machine->record()) return action;
  TRY_VOID(store_.save(next.record()));
  if (next.record().phase != machine->record().phase) {
    env_.log.info("round moved", {{"round", round.value()},
                                  {"from", name_of(machine->record().phase)},
                                  {"to", name_of(next.record().phase)},
                                  {"reason", next.record().reason}});
  }
  *machine = std::move(next);
  return action;
}

Task<Result<void>> RoundController::Work::clean_up(RoundId round) {
  failed_attempts_ = 0;
  co_return co_await files_.remove_all(round);
}

Task<Result<RoundId>> RoundController::Work::open_round(RoundPlan plan) {
  CO_TRY_VOID(check_plan(plan));
  const Digest base = plan.offer.artifact;
  CO_TRY(const auto pages, co_await hands_.open_artifact(base));
  base_values_[base] = internal::update_values(pages->manifest().config);
  if (const RoundMachine* busy = running()) {
    co_return fail(Errc::kConflict, "another round is running", place(busy->record().round),
                   "wait for its end or call it off");
  }
  CO_TRY(const RoundId round, store_.next_round());
  const RoundMachine machine(round, std::move(plan), env_.clock.wall_now());
  CO_TRY_VOID(store_.save(machine.record()));
  rounds_.insert_or_assign(round, machine);
  if (rounds_.size() > kMaxKeptRounds) rounds_.erase(rounds_.begin());
  env_.log.info("round opened", {{"round", round.value()}, {"base", base.short_hex()}});
  co_return round;
}

Task<Result<void>> RoundController::Work::call_off(RoundId round, std::string reason) {
  CO_TRY(const RoundMachine* machine, find(round));
  if (ticking_ && machine->unfinished() != RoundAction::kNone) {
    co_return fail(Errc::kConflict, "the round is being finished", place(round));
  }
  CO_TRY_VOID(advance(round, RoundBroken{std::move(reason)}));
  co_return co_await clean_up(round);
}

Result<std::optional<RoundOffer>> RoundController::Work::offer_for(
    DeviceId device, const std::optional<Digest>& active) {
  const RoundMachine* machine = running();
  if (machine == nullptr || active != machine->record().plan.offer.artifact) return std::nullopt;
  const RoundOffer offer = machine->record().plan.offer;
  TRY(const RoundAction action, advance(offer.round, DeviceReady{device}));
  if (action != RoundAction::kOffer) return std::nullopt;
  return offer;
}

Task<Result<void>> RoundController::Work::tick() {
  RoundMachine* machine = running();
  if (ticking_ || machine == nullptr) co_return Result<void>{};
  const Flag flag(ticking_);
  const RoundId round = machine->record().round;
  CO_TRY(const RoundAction action, advance(round, TimePassed{}));
  if (action == RoundAction::kCleanUp) co_return co_await clean_up(round);
  if (machine->unfinished() == RoundAction::kNone) co_return Result<void>{};
  Result<void> finished = co_await finish(round);
  if (!finished) co_return co_await give_up_after(round, std::move(finished.error()));
  co_return co_await clean_up(round);
}

// The disk, the registry or the network may have a bad moment; a round that fails again and again
// does not hold up the next one for ever.
Task<Result<void>> RoundController::Work::give_up_after(RoundId round, Error error) {
  env_.log.warn("round could not be finished",
                {{"round", round.value()}, {"reason", to_string(error)}});
  if (error.code == Errc::kCancelled) co_return tl::unexpected(std::move(error));
  if (ended(rounds_.at(round).record().phase)) co_return co_await clean_up(round);
  if (++failed_attempts_ < kMaxAttempts) co_return tl::unexpected(std::move(error));
  CO_TRY_VOID(advance(round, RoundBroken{to_string(error)}));
  co_return co_await clean_up(round);
}

Task<Result<void>> RoundController::Work::finish(RoundId round) {
  CO_TRY(const internal::Candidate candidate, co_await make_candidate(round));
  RoundAction next = rounds_.at(round).unfinished();
  if (next == RoundAction::kAggregate) {
    CO_TRY(next, advance(round, Aggregated{}));
  }
  const auto& promised = rounds_.at(round).record().candidate;
  if (next == RoundAction::kPublish && promised != candidate.digest) {
    co_return fail(Errc::kConflict, "the same updates gave another artifact than before a restart",
                   place(round));
  }
  if (next == RoundAction::kEvaluate) {
    CO_TRY(next, co_await evaluate(round, candidate));
  }
  if (next != RoundAction::kPublish) co_return Result<void>{};
  CO_TRY_VOID(co_await hands_.publish(round, candidate.artifact));
  CO_TRY_VOID(advance(round, CandidatePublished{}));
  co_return Result<void>{};
}

Task<Result<internal::Candidate>> RoundController::Work::make_candidate(RoundId round) {
  const RoundRecord record = rounds_.at(round).record();
  CO_TRY(const UpdateBounds bounds, co_await bounds_of(record));
  CO_TRY(std::vector<float> mean, co_await internal::combine(env_, files_, record, bounds));
  CO_TRY(auto base, co_await hands_.open_artifact(record.plan.offer.artifact));
  co_return co_await internal::build(env_, std::move(base), record, std::move(mean));
}

Task<Result<RoundAction>> RoundController::Work::evaluate(RoundId round,
                                                          const internal::Candidate& candidate) {
  CO_TRY(const Buffer file,
         co_await read_file(env_.disk, options_.held_out_path, kMaxHeldOutBytes));
  const std::string text(as_text(file));
  CO_TRY(const double before,
         co_await internal::held_out_loss(env_, candidate.base, text, options_.eval_context));
  CO_TRY(const double after,
         co_await internal::held_out_loss(env_, candidate.artifact, text, options_.eval_context));
  co_return advance(round, Evaluated{before, after, candidate.digest});
}

}  // namespace skein
