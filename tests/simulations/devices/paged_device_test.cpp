// Answers under a memory budget on storage that is slow, fails, lies and ends too early, on a
// machine that runs short of memory, gets hot and empties its battery: they are those of the whole
// model, and no page that is not what its hash says is ever used.
#include <gtest/gtest.h>

#include "common/env/block_reads.h"
#include "edge_node/app/internal/budget_watch.h"
#include "edge_node/generate/session.h"
#include "kernels/isa/isa.h"
#include "simulations/world/world.h"
#include "tests/edge_node/spoken_pages.h"

namespace skein {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr ModelConfig kShape = {
    .layers = 2, .width = 256, .heads = 4, .head_size = 64, .ffn_width = 2048, .vocab = 300};
constexpr std::size_t kSessions = 3;
constexpr std::size_t kTokens = 24;

FaultPlan rotten_storage() {
  FaultPlan plan;
  plan.slow_block = 0.05;
  plan.stalled_block = 0.002;
  plan.read_error = 0.002;
  plan.lying_block = 0.002;
  plan.short_block = 0.001;
  plan.squeezes_per_minute = 12;
  return plan;
}

std::vector<TokenId> prompt(std::size_t session) {
  std::vector<TokenId> ids;
  for (TokenId i = 0; i < 20; ++i) ids.push_back((i * 7 + static_cast<TokenId>(session)) % 270);
  return ids;
}

struct Said {
  std::vector<TokenId> ids;
  RwkvState state;  // before the last of them: it shows what no token may
};

Said said_by_the_whole(PageSource& pages, std::size_t session) {
  SerialParallel alone;
  const auto model = Model::open(pages).value();
  Runner runner(*model, alone);
  Said said{{}, model->initial_state()};
  std::vector<float> logits(kShape.vocab);
  for (const TokenId id : prompt(session)) EXPECT_TRUE(runner.step(id, said.state, logits));
  for (;;) {
    said.ids.push_back(static_cast<TokenId>(std::ranges::max_element(logits) - logits.begin()));
    if (said.ids.size() == kTokens) return said;
    EXPECT_TRUE(runner.step(said.ids.back(), said.state, logits));
  }
}

class PagedDevice {
 public:
  PagedDevice(std::uint64_t seed, const FaultPlan& plan)
      : world({.seed = seed, .faults = plan}), env(world.node_env("device")) {}

  // Everything but answers may fail and is tried again, as a device does that is switched on again.
  Task<void> install(PageSource& pages, Digest& digest) {
    while (!co_await store.open()) continue;
    for (;;) {
      const auto put = co_await test::put_artifact(store, pages, std::nullopt);
      if (put) digest = *put;
      if (put) break;
    }
  }
  void open(std::uint64_t budget) {
    host.emplace(
        env, store,
        HostOptions{WeightMemory::Options{.budget = budget, .sessions = kSessions}, "/paged", {}});
    watch.emplace(env, *host);
  }
  Task<void> load(Digest digest) {
    while (!co_await host->load(digest)) continue;
  }
  Task<void> answer(std::size_t which, Said& said) {
    LocalSession session(host->current(), SamplerOptions{.temperature = 0});
    std::vector<TokenId> ids = prompt(which);
    while (said.ids.size() < kTokens) {
      const auto next = co_await session.next(std::move(ids));
      EXPECT_TRUE(next) << to_string(next.error());
      if (!next) break;
      said.ids.push_back(*next);
      ids = {*next};
      co_await env.clock.sleep_for(seconds(2));  // squeezes come and go meanwhile
    }
    said.state = session.state();
  }

  World world;
  Env env;
  ChunkStore store{env.disk, "/chunks"};
  std::optional<ModelHost> host;
  std::optional<BudgetWatch> watch;
};

std::uint64_t least_for(PageSource& pages) {
  const ResidencyRequest request{.sessions = kSessions, .alignment = BlockReads::kMostAlignment};
  return smallest_budget(pages.manifest(), request).value();
}

TEST(PagedDevice, AnswersAreThoseOfTheWholeModelOnRottenStorageAndUnderPressure) {
  ASSERT_TRUE(select_isa(""));
  test::SpokenPages pages(kShape, 5);
  std::vector<Said> expected;
  for (std::size_t i = 0; i < kSessions; ++i) expected.push_back(said_by_the_whole(pages, i));
  BlockCounters met;
  std::uint64_t mended = 0, shrunk = 0, grown = 0;
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    PagedDevice device(seed, rotten_storage());
    Digest digest;
    device.world.run(device.install(pages, digest));
    device.open(least_for(pages) + (std::uint64_t{2} << 20));
    device.world.run(device.load(digest));
    TaskGroup watching(device.world.executor());
    watching.spawn(device.watch->run());
    TaskGroup answering(device.world.executor());
    std::vector<Said> said(kSessions);
    for (std::size_t i = 0; i < kSessions; ++i) answering.spawn(device.answer(i, said[i]));
    device.world.run(answering.join());
    for (std::size_t i = 0; i < kSessions; ++i) {
      EXPECT_EQ(said[i].ids, expected[i].ids) << "seed " << seed;
      EXPECT_EQ(said[i].state, expected[i].state) << "seed " << seed;
    }
    device.world.run(watching.stop());
    device.world.run(device.host->stop());
    const BlockCounters counters = device.world.block_counters("device");
    met.lied += counters.lied;
    met.failed += counters.failed;
    met.cut_short += counters.cut_short;
    met.stalled += counters.stalled;
    mended += device.host->pages_mended();
    shrunk += device.watch->shrunk();
    grown += device.watch->grown();
    EXPECT_GT(device.host->memory()->counters().misses, 0U);
  }
  EXPECT_GT(met.lied, 0U);
  EXPECT_GT(met.failed, 0U);
  EXPECT_GT(met.cut_short, 0U);
  EXPECT_GT(met.stalled, 0U);
  EXPECT_GT(mended, 0U);
  EXPECT_GT(shrunk, 0U);
  EXPECT_GT(grown, 0U);
}

}  // namespace
}  // namespace skein
