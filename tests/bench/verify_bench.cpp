// What it costs to check the tag of every byte that comes from storage: the same model under the
// same budget twice in one process, once with tags that are all equal and take no time, rounds in
// turn. Not part of `all`:
//   cmake --build --preset release --target verify_bench && build/release/bin/verify_bench
//   FILE.skein BUDGET_MB [TOKENS [ROUNDS [THREADS]]]
// Storage is not throttled, and no page is kept coded. What tags take is told by the clock
// (medians, ratios of neighbouring rounds; on a busy machine that is noise), as processor time, and
// as calls and bytes counted times what a call and a byte take alone.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include "common/env/real/real_env.h"
#include "common/model/model.h"
#include "edge_node/paging/pager.h"
#include "kernels/isa/isa.h"
#include "tests/support/best_seconds.h"

namespace skein {
namespace test {
std::function<Tag(ByteView)> program_tagger(const TagKey& key);  // program_tagger.cpp
}

namespace {

struct Counted {
  std::uint64_t calls = 0, bytes = 0;
};
// Each tagger counts for itself, so that threads do not meet; summed between rounds.
std::vector<Counted*>& counts() {
  static std::vector<Counted*> all;
  return all;
}
Counted all_tags() {
  Counted sum;
  for (const Counted* one : counts()) {
    sum.calls += one->calls;
    sum.bytes += one->bytes;
  }
  return sum;
}

constexpr TagKey kOff{};

}  // namespace

// In the place of common/crypto/tagger.cpp: under the key kOff it does nothing.
struct Tagger::Context {
  explicit Context(const TagKey& key) {
    if (key != kOff) of = test::program_tagger(key);
    counts().push_back(&counted);
  }
  ~Context() { std::erase(counts(), &counted); }

  std::function<Tag(ByteView)> of;
  alignas(64) Counted counted;
};
Tagger::Tagger(const TagKey& key) : context_(std::make_unique<Context>(key)) {}
Tagger::~Tagger() = default;
Tagger::Tagger(Tagger&&) noexcept = default;
Tag Tagger::of(ByteView bytes) {
  if (!context_->of) return {};
  ++context_->counted.calls;
  context_->counted.bytes += bytes.size();
  return context_->of(bytes);
}

namespace {

struct Asked {
  std::string file;
  std::uint64_t budget = 0;
  std::uint32_t tokens = 4, rounds = 7;
  unsigned threads = 2;
};

struct Round {
  double seconds = 0, cpu_s = 0;  // a token
};

// A model under its own pager.
class Side {
 public:
  static Result<std::unique_ptr<Side>> open(Env env, const Pager::Artifact& artifact,
                                            ResidencyPlan plan, const TagKey& key) {
    auto side = std::make_unique<Side>();
    TRY(side->pager_,
        Pager::open(env.disk, env.clock, env.compute.parallel(), artifact, std::move(plan), key));
    TRY(side->model_, Model::open(*side->pager_));
    side->runner_ = std::make_unique<Runner>(*side->model_, env.compute.parallel());
    side->state_ = side->model_->initial_state();
    side->logits_.resize(side->model_->config().vocab);
    return side;
  }

  Result<Round> run(Clock& clock, std::uint32_t tokens) {
    const Instant began = clock.now();
    const std::clock_t cpu = std::clock();
    for (std::uint32_t i = 0; i < tokens; ++i) {
      const auto id = static_cast<TokenId>((next_++ * 40503ULL + 17) % logits_.size());
      TRY_VOID(runner_->step(id, state_, logits_));
    }
    return Round{std::chrono::duration<double>(clock.now() - began).count() / tokens,
                 static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC / tokens};
  }

  const std::vector<float>& logits() const { return logits_; }
  PagerCounters counters() const { return pager_->counters(); }

 private:
  std::unique_ptr<Pager> pager_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Runner> runner_;
  RwkvState state_;
  std::vector<float> logits_;
  std::uint64_t next_ = 0;
};

double median(std::vector<double> of) {
  std::ranges::sort(of);
  return of[of.size() / 2];
}

// What a call and what a byte takes, from small and large pieces that are in no cache, as what
// storage wrote is not.
struct TagCost {
  double call_s = 0, byte_s = 0;
};
TagCost cost_of_tags() {
  constexpr std::size_t kSmall = 1152, kLarge = std::size_t{1} << 18, kAll = std::size_t{1} << 28;
  TagKey key{};
  key[0] = std::byte{1};
  const auto tag = test::program_tagger(key);
  const Buffer bytes(kAll);
  const auto seconds = [&](std::size_t size) {
    return test::best_seconds(5,
                              [&] {
                                for (std::size_t at = 0; at < kAll; at += kLarge) {
                                  tag(ByteView(bytes).subspan(at, size));
                                }
                              }) /
           (kAll / kLarge);
  };
  const double small = seconds(kSmall), large = seconds(kLarge);
  const double byte_s = (large - small) / (kLarge - kSmall);
  return {small - byte_s * kSmall, byte_s};
}

void print(const std::vector<Round>& with, const std::vector<Round>& without,
           const PagerCounters& paged, const Counted& tags, const Asked& asked) {
  std::vector<double> seconds[2], cpu[2], slower, more_cpu;
  for (std::size_t i = 0; i < with.size(); ++i) {
    seconds[0].push_back(with[i].seconds);
    seconds[1].push_back(without[i].seconds);
    cpu[0].push_back(with[i].cpu_s);
    cpu[1].push_back(without[i].cpu_s);
    slower.push_back(with[i].seconds / without[i].seconds - 1);
    more_cpu.push_back(with[i].cpu_s / without[i].cpu_s - 1);
  }
  const double tokens = static_cast<double>(with.size()) * asked.tokens;
  const TagCost cost = cost_of_tags();
  const double calls = static_cast<double>(tags.calls) / tokens;
  const double bytes = static_cast<double>(tags.bytes) / tokens;
  const double core_s = calls * cost.call_s + bytes * cost.byte_s;
  std::printf(
      "%s under %.0f MB, %u threads, %zu rounds of %u tokens: %.1f MB read a token\n"
      "with tags %.2f tokens/s, %.1f ms of processor time a token; without %.2f, %.1f ms\n"
      "neighbouring rounds: %+.2f %% by the clock, %+.2f %% processor time\n"
      "%.0f tags of %.1f MB a token; alone a tag takes %.0f ns and %.2f GB/s: %.2f ms of one "
      "core,\n"
      "%.2f %% of a token's processor time, %.2f %% of its time where %u cores share it\n",
      asked.file.c_str(), static_cast<double>(asked.budget) / 1e6, asked.threads, with.size(),
      asked.tokens, static_cast<double>(paged.bytes_read) / tokens / 1e6, 1 / median(seconds[0]),
      1e3 * median(cpu[0]), 1 / median(seconds[1]), 1e3 * median(cpu[1]), 100 * median(slower),
      100 * median(more_cpu), calls, bytes / 1e6, 1e9 * cost.call_s, 1e-9 / cost.byte_s,
      1e3 * core_s, 100 * core_s / median(cpu[0]),
      100 * core_s / asked.threads / median(seconds[0]), asked.threads);
}

Result<void> run(Env env, const Asked& asked) {
  if (!select_isa("")) return fail(Errc::kUnsupported, "no kernels", "this CPU", "see README");
  TRY(const Pager::Artifact artifact, Pager::look_at(env.disk, asked.file));
  ResidencyRequest request = artifact.request();
  request.budget = asked.budget;
  request.threads = asked.threads;
  TRY(const ResidencyPlan plan, plan_residency(artifact.manifest, request));
  TagKey key{};
  env.random.fill(key);
  TRY(const auto with, Side::open(env, artifact, plan, key));
  TRY(const auto without, Side::open(env, artifact, plan, kOff));
  // Pages are hashed the first time.
  TRY_VOID(with->run(env.clock, asked.tokens));
  TRY_VOID(without->run(env.clock, asked.tokens));
  const Counted tags_before = all_tags();
  const PagerCounters before = with->counters();
  std::vector<Round> tagged_rounds, plain_rounds;
  for (std::uint32_t i = 0; i < asked.rounds; ++i) {
    for (const bool first : {true, false}) {
      const bool is_tagged = first == (i % 2 == 0);
      TRY(const Round round, (is_tagged ? *with : *without).run(env.clock, asked.tokens));
      (is_tagged ? tagged_rounds : plain_rounds).push_back(round);
    }
  }
  if (with->logits() != without->logits()) std::printf("THE TWO DIFFER\n");
  const Counted tags = all_tags();
  print(tagged_rounds, plain_rounds, with->counters() - before,
        {tags.calls - tags_before.calls, tags.bytes - tags_before.bytes}, asked);
  return {};
}

int main_of(int argc, char** argv) {
  if (argc < 3) {
    std::printf("usage: verify_bench FILE.skein BUDGET_MB [TOKENS [ROUNDS [THREADS]]]\n");
    return 2;
  }
  const auto number = [&](int index, std::uint32_t otherwise) {
    return argc > index ? static_cast<std::uint32_t>(std::strtoul(argv[index], nullptr, 10))
                        : otherwise;
  };
  const Asked asked{.file = argv[1],
                    .budget = std::uint64_t{number(2, 0)} << 20,
                    .tokens = std::max(1U, number(3, 4)),
                    .rounds = std::max(1U, number(4, 7)),
                    .threads = std::max(1U, number(5, 2))};
  RealEnv real({.compute_threads = asked.threads});
  const auto done = run(real.env(), asked);
  if (!done) std::printf("%s\n", to_string(done.error()).c_str());
  return done ? 0 : exit_code(done.error().code);
}

}  // namespace
}  // namespace skein

int main(int argc, char** argv) { return skein::main_of(argc, argv); }
