#include "edge_node/app/internal/budget_watch.h"

namespace skein {

namespace {

constexpr std::uint64_t kNearly = 64;  // so small a part of the budget is left

// Weights are read anew at each change, so it grows in few and large steps.
BudgetOptions options_of(std::uint64_t configured, std::uint64_t floor) {
  BudgetOptions options;
  options.configured_bytes = configured;
  options.floor_bytes = std::min(floor, configured);
  options.growth = 0.25;
  options.between_growth = std::chrono::seconds(30);
  return options;
}

class Listening {
 public:
  Listening(PressureGauge& gauge, std::function<void()> wake) : gauge_(gauge) {
    gauge_.on_pressure(std::move(wake));
  }
  ~Listening() { gauge_.on_pressure({}); }
  Listening(const Listening&) = delete;
  Listening& operator=(const Listening&) = delete;

 private:
  PressureGauge& gauge_;
};

}  // namespace

BudgetWatch::BudgetWatch(Env env, ModelHost& host)
    : env_(env), host_(host), memory_(*host.memory()), told_(env.executor) {}

Task<void> BudgetWatch::rest() {
  const Instant now = env_.clock.now();
  if (!is_told_) {
    const auto word = [](Signal& told) -> Task<Result<void>> {
      co_await told.wait();
      co_return Result<void>{};
    };
    Task<Result<void>> waiting = word(told_);
    (void)co_await with_deadline(env_.clock, now + kPressureEvery, "pressure", std::move(waiting));
  }
  if (is_told_) co_await env_.clock.sleep_until(now + kPressureSoonest);
  is_told_ = false;
}

Task<void> BudgetWatch::run() {
  const Listening listening(env_.pressure, [this] {
    is_told_ = true;
    told_.notify_all();
  });
  for (;;) {
    co_await rest();
    if (const auto looked = look_at_model(); !looked) {
      env_.log.error("memory budget not watched", {{"reason", to_string(looked.error())}});
    }
    if (!policy_) continue;
    const Pressure now = env_.pressure.sample();
    const std::uint64_t nearly = memory_.budget() - memory_.budget() / kNearly;
    if (now.process && now.process->resident_bytes > nearly) env_.pressure.give_back();
    const BudgetActions actions = policy_->step(now, env_.clock.now());
    if (actions.set) co_await meet(*actions.set);
  }
}

// The floor is the least that the current model runs in, beside others that still answer.
Result<void> BudgetWatch::look_at_model() {
  std::vector<Digest> models = host_.in_use();
  const auto current = host_.current();
  const std::uint64_t lent = memory_.lent();
  if (current == nullptr || (models == models_ && lent == lent_)) return {};
  TRY(const std::uint64_t least, memory_.smallest());
  models_ = std::move(models);
  lent_ = lent;
  if (policy_) {
    const BudgetActions actions = policy_->step(RaiseFloor{least}, env_.clock.now());
    if (actions.set) memory_.set_budget(actions.set->bytes);
    return {};
  }
  TRY(policy_, BudgetPolicy::make(options_of(memory_.budget(), least)));
  return {};
}

// Met before the next pass; at once where none is under way.
Task<void> BudgetWatch::meet(SetBudget wanted) {
  const bool shrinks = wanted.bytes < memory_.budget();
  (shrinks ? shrunk_ : grown_) += 1;
  memory_.set_budget(wanted.bytes);
  env_.log.info("memory budget changed",
                {{"bytes", wanted.bytes}, {"reason", name_of(wanted.reason)}});
  const auto hosted = host_.current();
  Result<void> met;
  std::function<void()> job = [&] {
    const auto stay = hosted->enter();
    if (!stay) met = tl::unexpected<Error>(stay.error());
  };
  co_await env_.compute.run(std::move(job), forward_cost(hosted->model->config(), 1));
  // The next pass tries again, and mends what can be mended.
  if (!met) env_.log.warn("weights not read", {{"reason", to_string(met.error())}});
}

}  // namespace skein
