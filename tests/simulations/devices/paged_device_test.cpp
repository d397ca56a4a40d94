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
#include "tests/support/planted_pressure.h"

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
  PagedDevice(std::uint64_t seed, const FaultPlan& plan, PressureGauge* gauge = nullptr)
      : world({.seed = seed, .faults = plan}), env(pressed(world.node_env("device"), gauge)) {}

  static Env pressed(Env own, PressureGauge* gauge) {
    return {own.executor, own.clock,   own.network, own.disk,
            own.random,   own.compute, own.log,     gauge == nullptr ? own.pressure : *gauge};
  }

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

// Bytes of everything on the device's disk.
std::uint64_t used_by(const World& world) {
  std::uint64_t bytes = 0;
  for (const std::string& path : world.files("device")) {
    bytes += world.file("device", path)->size();
  }
  return bytes;
}

std::vector<std::string> paged_files(const World& world) {
  std::vector<std::string> paged = world.files("device");
  std::erase_if(paged, [](const std::string& path) { return !path.starts_with("/paged/"); });
  return paged;
}

// A device that holds the pages, on a kind disk.
class DeviceOnAFullDisk : public testing::Test {
 protected:
  DeviceOnAFullDisk() {
    EXPECT_TRUE(select_isa(""));
    device_.world.run(device_.install(pages_, digest_));
    device_.open(least_for(pages_) + (std::uint64_t{2} << 20));
    stored_ = used_by(device_.world);
  }
  ~DeviceOnAFullDisk() override { device_.world.run(device_.host->stop()); }
  void leave_free(std::uint64_t bytes) {
    device_.world.set_disk_capacity("device", used_by(device_.world) + bytes);
  }
  Result<void> load() { return device_.world.run(device_.host->load(digest_)); }

  test::SpokenPages pages_{kShape, 5};
  PagedDevice device_{1, {}};
  Digest digest_;
  std::uint64_t stored_ = 0;
};

TEST_F(DeviceOnAFullDisk, SaysWhatIsMissingBeforeItLaysPagesOut) {
  leave_free(0);
  const auto refused = load();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kOutOfRoom);
  EXPECT_EQ(refused.error().where, "/paged");
  const std::uint64_t missing = std::stoull(refused.error().what.substr(13));
  EXPECT_GT(missing, kSlotFileReserve);
  EXPECT_EQ(refused.error().what.find("the disk has " + std::to_string(missing)), 0U);
  EXPECT_TRUE(paged_files(device_.world).empty());
  leave_free(missing - 1);
  EXPECT_EQ(load().error().what.find("the disk has 1 bytes too few"), 0U);
  EXPECT_TRUE(paged_files(device_.world).empty());
  leave_free(missing);
  ASSERT_TRUE(load());
  const std::vector<std::string> files = paged_files(device_.world);
  ASSERT_EQ(files.size(), 1U);
  EXPECT_EQ(device_.world.file("device", files[0])->size(), missing - kSlotFileReserve);
}

TEST_F(DeviceOnAFullDisk, LeavesNothingHalfMadeWhenTheDiskFillsMeanwhile) {
  TaskGroup others(device_.world.executor());
  const auto fill = [this]() -> Task<void> {
    for (;;) {
      co_await device_.env.clock.sleep_for(std::chrono::milliseconds(1));
      if (used_by(device_.world) > stored_ + 1'000'000) leave_free(0);
    }
  };
  others.spawn(fill());
  const auto refused = load();
  device_.world.run(others.stop());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kOutOfRoom);
  EXPECT_NE(refused.error().what.find("No space left"), std::string::npos) << refused.error().what;
  EXPECT_TRUE(paged_files(device_.world).empty());
  EXPECT_EQ(used_by(device_.world), stored_);
  device_.world.set_disk_capacity("device", UINT64_MAX);
  EXPECT_TRUE(load());
}

TEST_F(DeviceOnAFullDisk, TakesTheRoomOfWhatACrashLeft) {
  leave_free(0);
  const std::uint64_t needed = std::stoull(load().error().what.substr(13));
  leave_free(needed);
  TaskGroup group(device_.world.executor());
  const auto load_once = [this]() -> Task<void> {
    EXPECT_FALSE(co_await device_.host->load(digest_));  // it is stopped
  };
  group.spawn(load_once());
  device_.world.run_while([this] { return used_by(device_.world) < stored_ + 3'000'000; },
                          device_.world.clock().now() + minutes(1));
  device_.world.run(group.stop());
  ASSERT_EQ(paged_files(device_.world).size(), 1U);  // unfinished
  leave_free(needed - (used_by(device_.world) - stored_));
  EXPECT_TRUE(load());
  EXPECT_EQ(used_by(device_.world), stored_ + needed - kSlotFileReserve);
}

TEST_F(DeviceOnAFullDisk, ASessionEndsAndTheNextOneAnswersOnceThereIsRoom) {
  const Said expected = said_by_the_whole(pages_, 0);
  ASSERT_TRUE(load());
  const std::string file = paged_files(device_.world).at(0);
  // The file ends too early, and there is no room to lay it out anew.
  ASSERT_TRUE(device_.world.truncate("device", file, 100'000));
  leave_free(0);
  const auto fails = [this]() -> Task<Result<TokenId>> {
    LocalSession session(device_.host->current(), SamplerOptions{.temperature = 0});
    std::vector<TokenId> ids = prompt(0);
    co_return co_await session.next(std::move(ids));
  };
  const auto none = device_.world.run(fails());
  ASSERT_FALSE(none);
  EXPECT_NE(to_string(none.error()).find(file), std::string::npos) << to_string(none.error());
  EXPECT_TRUE(paged_files(device_.world).empty());
  device_.world.set_disk_capacity("device", UINT64_MAX);
  Said said;
  device_.world.run(device_.answer(0, said));
  EXPECT_EQ(said.ids, expected.ids);
  EXPECT_EQ(said.state, expected.state);
}

TEST(PagedDevice, MeetsPressureThatTheKernelTellsOfAtOnceAndOtherPressureWithinASecond) {
  ASSERT_TRUE(select_isa(""));
  test::SpokenPages pages(kShape, 5);
  test::PlantedPressure gauge;
  PagedDevice device(1, {}, &gauge);
  Digest digest;
  device.world.run(device.install(pages, digest));
  const std::uint64_t budget = least_for(pages) + (std::uint64_t{2} << 20);
  device.open(budget);
  device.world.run(device.load(digest));
  TaskGroup watching(device.world.executor());
  watching.spawn(device.watch->run());
  const auto wait = [&](Duration time) { device.world.run(device.env.clock.sleep_for(time)); };
  const WeightMemory& memory = *device.host->memory();
  wait(std::chrono::milliseconds(1500));
  ASSERT_TRUE(gauge.tell);
  gauge.now.heat = Heat::kCritical;
  gauge.tell();
  gauge.tell();
  wait(std::chrono::milliseconds(1));
  EXPECT_LT(memory.budget(), budget);
  EXPECT_EQ(device.watch->shrunk(), 1U);
  // Untold, it is seen at the next look.
  gauge.now.heat = Heat::kCool;
  wait(minutes(3));
  EXPECT_EQ(memory.budget(), budget);
  gauge.now.heat = Heat::kCritical;
  wait(seconds(1));
  EXPECT_LT(memory.budget(), budget);
  device.world.run(watching.stop());
  EXPECT_FALSE(gauge.tell) << "nobody listens any more";
  device.world.run(device.host->stop());
}

}  // namespace
}  // namespace skein
