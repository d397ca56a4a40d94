// Memory against tokens a second for the tiers that pages may be held in, at a storage speed. Not
// part of `all`:
//   cmake --build --preset release --target tiers_bench && build/release/bin/tiers_bench
//   [--mbps 300] [--threads 2] [--tokens 8] [--steps 8] PLAIN.skein [CODED.skein]
// The first file with every page decoded is what the others are compared with: how much less memory
// is as fast, to 5 %. A token takes as long as the slower of its reads and its computing. Reads are
// counted, computing is measured as processor time, so that the column `idle` holds on a busy
// machine too; `seen` is by the clock.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <string>
#include <vector>

#include "common/env/real/real_env.h"
#include "common/model/model.h"
#include "edge_node/paging/paging_rates.h"
#include "kernels/isa/isa.h"

namespace skein {
namespace {

struct Asked {
  double mbps = 300;
  unsigned threads = 2;
  std::uint32_t tokens = 8;
  std::uint32_t steps = 8;
  std::vector<std::string> files;
};

struct Point {
  std::uint64_t memory = 0;   // as the plan has it, of a process that holds nothing else
  double seen = 0, idle = 0;  // tokens a second
};
using Curve = std::vector<Point>;

enum class Tier { kDecoded, kCoded, kRule };
constexpr const char* kTiers[] = {"decoded", "coded", "rule"};

// The rates that make a plan keep no page coded, or as many as it can.
PagingRates rates_for(Tier tier, PagingRates rates) {
  if (tier == Tier::kDecoded) rates.coder = 1;
  if (tier == Tier::kCoded) rates.coder = 1e15;
  return rates;
}

class Bench {
 public:
  explicit Bench(const Asked& asked)
      : asked_(asked),
        real_({.compute_threads = asked.threads,
               .storage = {.megabytes_per_second = asked.mbps,
                           .latency = std::chrono::microseconds(150)}}) {}

  Result<void> run() {
    std::printf("%-24s %-8s %8s %9s %9s %9s %8s %8s\n", "file", "tier", "memory", "read", "decoded",
                "cpu ms", "idle", "seen");
    for (const std::string& file : asked_.files) {
      TRY(const Pager::Artifact artifact, Pager::look_at(real_.env().disk, file));
      TRY(const auto measured, measure_paging(real_.env().disk, real_.env().clock,
                                              real_.env().compute.parallel(), artifact));
      std::printf("# %s: storage %.0f MB/s, a coder %.0f MB/s, coded share %.3f\n", file.c_str(),
                  measured.rates.storage / 1e6, measured.rates.coder / 1e6, measured.coded_share);
      for (const Tier tier : {Tier::kDecoded, Tier::kCoded, Tier::kRule}) {
        TRY(curves_[file + ", " + kTiers[static_cast<int>(tier)]], curve(artifact, measured, tier));
      }
    }
    compare();
    return {};
  }

 private:
  Result<Curve> curve(const Pager::Artifact& artifact, const MeasuredPaging& measured, Tier tier);
  Result<Point> point(const Pager::Artifact& artifact, const ResidencyRequest& request);
  void compare() const;

  const Asked& asked_;
  RealEnv real_;
  std::map<std::string, Curve> curves_;
};

Result<Point> Bench::point(const Pager::Artifact& artifact, const ResidencyRequest& request) {
  const Env env = real_.env();
  TRY(ResidencyPlan plan, plan_residency(artifact.manifest, request));
  Point made{.memory = plan.total()};
  const std::uint64_t decoded = plan.decoded_per_token;
  TagKey key{};
  TRY(const auto pager,
      Pager::open(env.disk, env.clock, env.compute.parallel(), artifact, std::move(plan), key));
  TRY(const auto model, Model::open(*pager));
  Runner runner(*model, env.compute.parallel());
  RwkvState state = model->initial_state();
  std::vector<float> logits(model->config().vocab);
  const auto step = [&](std::uint32_t i) {
    return runner.step(static_cast<TokenId>((i * 40503 + 17) % logits.size()), state, logits);
  };
  for (std::uint32_t i = 0; i < 3; ++i) TRY_VOID(step(i));
  const PagerCounters before = pager->counters();
  const Instant began = env.clock.now();
  const std::clock_t cpu = std::clock();
  for (std::uint32_t i = 0; i < asked_.tokens; ++i) TRY_VOID(step(i + 3));
  const double cpu_s = static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC / asked_.tokens;
  const double seconds = std::chrono::duration<double>(env.clock.now() - began).count();
  const auto read =
      static_cast<double>(pager->counters().bytes_read - before.bytes_read) / asked_.tokens;
  made.seen = asked_.tokens / seconds;
  made.idle = 1 / std::max(read / asked_.mbps / 1e6, cpu_s / asked_.threads);
  std::printf("%8.1f %9.2f %9.2f %9.1f %8.2f %8.2f\n", static_cast<double>(made.memory) / 1e6,
              read / 1e6, static_cast<double>(decoded) / 1e6, cpu_s * 1e3, made.idle, made.seen);
  return made;
}

Result<Curve> Bench::curve(const Pager::Artifact& artifact, const MeasuredPaging& measured,
                           Tier tier) {
  ResidencyRequest request = artifact.request();
  request.threads = asked_.threads;
  request.rates = rates_for(tier, measured.rates);
  request.coded_share = measured.coded_share;
  TRY(const std::uint64_t least, smallest_budget(artifact.manifest, request));
  request.budget = std::uint64_t{1} << 40;
  TRY(const ResidencyPlan whole, plan_residency(artifact.manifest, request));
  const std::uint64_t most = whole.total() - request.budget / 256;  // the reserve is a share
  Curve made;
  for (std::uint32_t i = 0; i <= asked_.steps; ++i) {
    request.budget =
        least + (most - std::min(most, least)) * i / asked_.steps + (i > 0 ? most / 64 : 0);
    std::printf("%-24s %-8s ", artifact.path.substr(artifact.path.rfind('/') + 1).c_str(),
                kTiers[static_cast<int>(tier)]);
    TRY(const Point next, point(artifact, request));
    std::fflush(stdout);
    made.push_back(next);
  }
  return made;
}

// The least memory that gives so many tokens a second, on a line between neighbouring points.
double memory_for(const Curve& curve, double speed, double Point::* of) {
  for (std::size_t i = 0; i < curve.size(); ++i) {
    if (curve[i].*of < speed) continue;
    const auto here = static_cast<double>(curve[i].memory);
    if (i == 0) return here;
    const auto before = static_cast<double>(curve[i - 1].memory);
    const double slow = curve[i - 1].*of;
    return before + (here - before) * (speed - slow) / (curve[i].*of - slow);
  }
  return 0;
}

void Bench::compare() const {
  const Curve& with = curves_.at(asked_.files.front() + ", decoded");
  for (const auto& [name, curve] : curves_) {
    std::printf("memory saved, at most 5 %% slower: %s\n", name.c_str());
    for (const Point& point : with) {
      const auto saved = [&](double Point::* of) {
        const double memory = memory_for(curve, 0.95 * point.*of, of);
        return memory > 0 ? 100 * (1 - memory / static_cast<double>(point.memory)) : 0.0;
      };
      std::printf("  of %7.1f MB (%.2f tokens/s): idle %5.1f %%, seen %5.1f %%\n",
                  static_cast<double>(point.memory) / 1e6, point.idle, saved(&Point::idle),
                  saved(&Point::seen));
    }
  }
}

int main_of(int argc, char** argv) {
  Asked asked;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (!word.starts_with("--") || i + 1 == argc) {
      asked.files.push_back(word);
      continue;
    }
    const double value = std::strtod(argv[++i], nullptr);
    if (word == "--mbps") asked.mbps = value;
    if (word == "--threads") asked.threads = static_cast<unsigned>(value);
    if (word == "--tokens") asked.tokens = static_cast<std::uint32_t>(value);
    if (word == "--steps") asked.steps = static_cast<std::uint32_t>(value);
  }
  if (asked.files.empty()) {
    std::printf("usage: tiers_bench [--mbps N] [--threads N] [--tokens N] [--steps N] FILE...\n");
    return 2;
  }
  if (!select_isa("")) return 1;
  Bench bench(asked);
  const auto result = bench.run();
  if (!result) std::printf("%s\n", to_string(result.error()).c_str());
  return result ? 0 : exit_code(result.error().code);
}

}  // namespace
}  // namespace skein

int main(int argc, char** argv) { return skein::main_of(argc, argv); }
