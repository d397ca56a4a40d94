// skein simulate: the whole product in virtual time, from one seed.
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "common/env/disk.h"
#include "simulations/app/internal/command_sets.h"
#include "simulations/scenarios/story.h"

namespace skein::simulation {
namespace {

namespace json = boost::json;

struct SimulateOptions {
  std::string scenario;
  std::uint64_t seed = 1;
  std::uint32_t seeds = 1;
  bool twice = false;
  std::string until;
  bool json = false;
};

constexpr std::uint64_t kMaxScenarioFile = 1U << 20;

// "90", "90s", "15m", "2h" -> seconds; 0 when nothing is given.
Result<double> parse_duration(const std::string& text) {
  if (text.empty()) return 0;
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  const std::string unit(end);
  const double factor = unit.empty() || unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : 0;
  if (end == text.c_str() || factor == 0 || !(value > 0)) {
    return fail(Errc::kUsage, "'" + text + "' is not a duration", "--until",
                "write 90s, 15m or 2h");
  }
  return value * factor;
}

std::string replay(const SimulateOptions& options, std::uint64_t seed) {
  return "skein simulate " + options.scenario + " --seed " + std::to_string(seed);
}

json::object describe(const StoryEnd& end, double cpu_seconds) {
  json::object metrics;
  for (const auto& [name, value] : end.metrics) metrics[name] = value;
  metrics["virtual_per_real_second"] = end.virtual_seconds / std::max(cpu_seconds, 1e-9);
  return {{"seed", end.seed},
          {"virtual_seconds", end.virtual_seconds},
          {"events", end.events},
          {"trace_hash", end.trace_hash},
          {"violations", json::array(end.violations.begin(), end.violations.end())},
          {"metrics", std::move(metrics)}};
}

void show(Terminal& terminal, const SimulateOptions& options, const StoryEnd& end, double seconds) {
  if (options.json) {
    terminal.out << describe(end, seconds) << std::endl;
    return;
  }
  terminal.out << "seed " << end.seed << ": " << end.virtual_seconds << " virtual seconds in "
               << seconds << " s, " << end.events << " events, trace " << end.trace_hash
               << (end.violations.empty() ? "" : ", VIOLATED") << std::endl;
  if (options.seeds > 1) return;
  for (const auto& [name, value] : end.metrics)
    terminal.out << "  " << name << " " << value << "\n";
}

Task<Result<void>> run_seed(Env env, Terminal& terminal, std::shared_ptr<SimulateOptions> options,
                            Scenario scenario, std::uint64_t seed) {
  CO_TRY(const double until, parse_duration(options->until));
  const Instant began = env.clock.now();
  StoryEnd end;
  std::function<void()> job = [&] { end = tell(scenario, seed, until); };
  co_await env.compute.run(job, Duration::zero());
  const double seconds = std::chrono::duration<double>(env.clock.now() - began).count();
  if (options->twice && end.violations.empty()) {
    const std::string first = end.trace_hash;
    co_await env.compute.run(job, Duration::zero());
    if (end.trace_hash != first) {
      end.violations.push_back("two runs of one seed differ: " + first + " and " + end.trace_hash);
    }
  }
  show(terminal, *options, end, seconds);
  if (end.violations.empty()) co_return Result<void>{};
  for (const std::string& line : end.last_events) terminal.err << "  " << line << "\n";
  co_return fail(Errc::kFalse, end.violations.front(), "seed " + std::to_string(seed),
                 "replay with: " + replay(*options, seed));
}

Task<Result<void>> simulate(Env env, Terminal& terminal, std::shared_ptr<SimulateOptions> options) {
  CO_TRY(const Buffer text, co_await read_file(env.disk, options->scenario, kMaxScenarioFile));
  CO_TRY(const Scenario scenario, parse_scenario(as_text(text), options->scenario));
  for (std::uint32_t i = 0; i < options->seeds; ++i) {
    CO_TRY_VOID(co_await run_seed(env, terminal, options, scenario, options->seed + i));
  }
  co_return Result<void>{};
}

}  // namespace

void add_simulate(CLI::App& tool, Command& chosen) {
  auto options = std::make_shared<SimulateOptions>();
  CLI::App* command =
      tool.add_subcommand("simulate", "the whole product in virtual time, from one seed");
  command
      ->add_option("SCENARIO", options->scenario,
                   "a story, e.g. simulations/scenarios/first_walk.toml")
      ->required();
  command->add_option("--seed", options->seed, "the seed (default 1)");
  command->add_option("--seeds", options->seeds, "this many seeds, from --seed on")
      ->check(CLI::Range(1U, 1000000U));
  command->add_flag("--twice", options->twice, "run each seed twice and compare the traces");
  command->add_option("--until", options->until, "stop at this virtual time: 90s, 15m, 2h");
  command->add_flag("--json", options->json, "one JSON object a seed on standard output");
  command->callback([&chosen, options] {
    chosen.run = [options](Env env, Terminal& terminal) {
      return simulate(env, terminal, options);
    };
  });
}

}  // namespace skein::simulation
