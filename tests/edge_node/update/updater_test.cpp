#include "edge_node/update/updater.h"

#include <gtest/gtest.h>

#include <fstream>

#include "common/artifact/artifact_file.h"
#include "edge_node/update/install.h"
#include "tests/edge_node/fake_coordinator.h"

namespace skein {
namespace {

const SigningKey kKey{.seed = {std::byte{1}}};
const SigningKey kOtherKey{.seed = {std::byte{2}}};

// One device's update room; leaving it is a crash.
class Device {
 public:
  Device(RealEnv& real, const std::string& folder, Uplink& uplink)
      : real_(real),
        env_(real.env()),
        store(env_.disk, folder + "/chunks"),
        slots(env_.disk, folder + "/slots"),
        updater(env_, store, slots, uplink, hooks(), {folder + "/updates.json", folder}),
        tasks_(env_.executor) {
    EXPECT_TRUE(real_.run(store.open()));
    EXPECT_TRUE(real_.run(updater.load()));
    tasks_.spawn(updater.run());
  }
  ~Device() { real_.run(tasks_.stop()); }

  // Heartbeats repeat the offer until the device has a final report, as a coordinator would.
  std::optional<StepReport> take(UpdateOffer offer, Uplink* link_to_mend = nullptr) {
    for (int beat = 0; beat < 200; ++beat) {
      if (link_to_mend != nullptr) real_.run(link_to_mend->wait_connected({}));
      updater.offered(offer);
      real_.run(env_.clock.sleep_for(std::chrono::milliseconds(10)));
      for (const StepReport& report : updater.reports()) {
        const bool final_step =
            report.step == DeviceStep::kCommitted || report.step == DeviceStep::kFailed;
        if (report.rollout == offer.rollout && final_step) return report;
      }
    }
    return std::nullopt;
  }

  RealEnv& real_;
  Env env_;
  ChunkStore store;
  Slots slots;
  int switched = 0;
  std::vector<Digest> in_use;
  Updater updater;

 private:
  UpdaterHooks hooks() {
    return {.artifact_key = [] { return std::optional(kKey.public_key()); },
            .switched = [this]() -> Task<void> {
              switched += 1;
              co_return;
            },
            .in_use = [this] { return in_use; },
            .heartbeat_soon = [] {}};
  }
  TaskGroup tasks_;
};

class UpdaterTest : public testing::Test {
 protected:
  UpdaterTest() {
    v1_ = coordinator_.publish(*base_, kKey);
    v2_ = coordinator_.publish(*tuned_, kKey);
  }
  UpdateOffer offer(std::uint64_t rollout, const Digest& artifact) {
    return {RolloutId(rollout), artifact, 1};
  }
  std::uint64_t sent() const {
    std::uint64_t count = 0;
    for (const auto& [page, times] : coordinator_.times_sent) {
      count += static_cast<std::uint64_t>(times);
    }
    return count;
  }
  std::uint64_t most_sent() const {
    int most = 0;
    for (const auto& [page, times] : coordinator_.times_sent) most = std::max(most, times);
    return static_cast<std::uint64_t>(most);
  }

  RealEnv real_{{.compute_threads = 1, .log_level = LogLevel::kError}};
  test::ScopedFolder folder_;
  std::unique_ptr<MemoryArtifact> base_ = test::golden_artifact();
  std::unique_ptr<MemoryArtifact> tuned_ = test::tuned_artifact(*base_, 0.25F);
  test::FakeCoordinator coordinator_{real_.env()};
  Digest v1_, v2_;
};

TEST_F(UpdaterTest, FetchesAnArtifactAndSwitchesToIt) {
  Device device(real_, folder_.path(), coordinator_);
  const auto report = device.take(offer(1, v1_));
  ASSERT_TRUE(report);
  EXPECT_EQ(report->step, DeviceStep::kCommitted) << report->reason;
  EXPECT_EQ(report->pages_fetched, base_->manifest().pages.size());
  EXPECT_EQ(device.updater.slot()->active, v1_);
  EXPECT_EQ(device.switched, 1);
  EXPECT_EQ(real_.run(device.slots.bootable(device.store)).value(), v1_);
}

TEST_F(UpdaterTest, FetchesOnlyThePagesThatAreMissing) {
  Device device(real_, folder_.path(), coordinator_);
  ASSERT_TRUE(device.take(offer(1, v1_)));
  const std::uint64_t before = sent();
  const auto report = device.take(offer(2, v2_));
  EXPECT_EQ(report->step, DeviceStep::kCommitted) << report->reason;
  EXPECT_EQ(sent() - before, report->pages_fetched);
  EXPECT_LT(report->pages_fetched, base_->manifest().pages.size() / 2);
  EXPECT_EQ(device.updater.slot()->previous, v1_);
  EXPECT_EQ(most_sent(), 1U);
}

TEST_F(UpdaterTest, ResumesAfterCutLinkWithoutRefetching) {
  Device device(real_, folder_.path(), coordinator_);
  coordinator_.cut_after_parts = 12;
  const auto report = device.take(offer(1, v1_), &coordinator_);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->step, DeviceStep::kCommitted) << report->reason;
  EXPECT_EQ(most_sent(), 1U);
  EXPECT_EQ(report->pages_fetched, base_->manifest().pages.size());
}

TEST_F(UpdaterTest, ResumesAfterACrashWithoutRefetching) {
  {
    Device device(real_, folder_.path(), coordinator_);
    coordinator_.cut_after_parts = 12;
    device.updater.offered(offer(1, v1_));
    while (coordinator_.link_up) real_.run(real_.env().clock.sleep_for(Duration(1'000'000)));
  }
  const std::uint64_t before = sent();
  EXPECT_GT(before, 0U);
  coordinator_.link_up = true;
  Device device(real_, folder_.path(), coordinator_);
  EXPECT_FALSE(device.updater.slot());
  const auto report = device.take(offer(1, v1_));
  EXPECT_EQ(report->step, DeviceStep::kCommitted) << report->reason;
  EXPECT_EQ(most_sent(), 1U);
  EXPECT_EQ(report->pages_fetched, base_->manifest().pages.size() - before);
}

TEST_F(UpdaterTest, TakesARepeatedPageOnce) {
  Device device(real_, folder_.path(), coordinator_);
  coordinator_.repeats_parts = true;
  const auto report = device.take(offer(1, v1_));
  EXPECT_EQ(report->step, DeviceStep::kCommitted) << report->reason;
  EXPECT_EQ(report->pages_fetched, base_->manifest().pages.size());
}

TEST_F(UpdaterTest, RefusesATamperedPage) {
  Device device(real_, folder_.path(), coordinator_);
  ASSERT_TRUE(device.take(offer(1, v1_)));
  const auto missing = device.store.missing_from(tuned_->manifest()).value();
  const Digest victim = tuned_->manifest().pages[missing.front().value()].digest;
  coordinator_.pages[victim][0] ^= std::byte{1};
  const auto report = device.take(offer(2, v2_));
  ASSERT_TRUE(report);
  EXPECT_EQ(report->step, DeviceStep::kFailed);
  EXPECT_EQ(report->reason.substr(0, 5), "page:");
  EXPECT_EQ(device.updater.slot()->active, v1_);
  EXPECT_FALSE(device.store.contains(victim).value());
  const int tries = coordinator_.times_sent[victim];
  device.take(offer(2, v2_));
  EXPECT_EQ(coordinator_.times_sent[victim], tries);  // no hammering
}

TEST_F(UpdaterTest, TakesPagesCodedAndStoresThemDecoded) {
  coordinator_.knows_coding = true;
  Device device(real_, folder_.path(), coordinator_);
  const auto report = device.take(offer(1, v1_));
  ASSERT_TRUE(report);
  EXPECT_EQ(report->step, DeviceStep::kCommitted) << report->reason;
  std::uint64_t whole = 0;
  for (const PageEntry& page : base_->manifest().pages) {
    whole += page.bytes;
    EXPECT_EQ(real_.run(device.store.get(page.digest)).value(), coordinator_.pages[page.digest]);
  }
  EXPECT_EQ(report->bytes_fetched, whole);  // progress is told in bytes of the artifact
  EXPECT_EQ(device.updater.counters().bytes_fetched, whole);
  EXPECT_EQ(device.updater.counters().wire_bytes, coordinator_.page_bytes_sent);
  EXPECT_LT(coordinator_.page_bytes_sent, whole);
}

TEST_F(UpdaterTest, TakesPlainPagesOfACoordinatorThatKnowsNoCoding) {
  Device device(real_, folder_.path(), coordinator_);
  const auto report = device.take(offer(1, v1_));
  ASSERT_TRUE(report);
  EXPECT_EQ(report->step, DeviceStep::kCommitted) << report->reason;
  EXPECT_EQ(device.updater.counters().wire_bytes, device.updater.counters().bytes_fetched);
}

// Every way a coded page can be wrong ends as a refusal that is counted, with nothing stored.
TEST_F(UpdaterTest, RefusesHostileCodedPages) {
  coordinator_.knows_coding = true;
  const Digest victim = base_->manifest().pages.front().digest;
  const Buffer page = coordinator_.pages[victim];
  const Buffer good = coordinator_.coded[victim];
  Buffer other = page;
  other[0] ^= std::byte{1};
  PageCoder coder;
  const std::map<std::string, Buffer> hostile = {
      {"empty", {}},
      {"cut short", Buffer(good.begin(), good.end() - 1)},
      {"plain bytes called coded", page},
      {"a form nobody knows", to_buffer(as_bytes("\x07page"))},
      {"larger than any coded page", Buffer(coded_bound(page.size()) + 1)},
      {"another page of the same size", coder.code(other, {})},
      {"a fill that says it is endless", to_buffer(as_bytes("\x01\x01\xff\xff\xff\xffx"))},
  };
  for (const auto& [about, bytes] : hostile) {
    coordinator_.coded[victim] = bytes;
    const test::ScopedFolder folder;
    Device device(real_, folder.path(), coordinator_);
    const auto report = device.take(offer(1, v1_));
    ASSERT_TRUE(report) << about;
    EXPECT_EQ(report->step, DeviceStep::kFailed) << about;
    EXPECT_EQ(report->reason.substr(0, 5), "page:") << about << ": " << report->reason;
    EXPECT_EQ(device.updater.counters().pages_refused, 1U) << about;
    EXPECT_FALSE(device.store.contains(victim).value()) << about;
    EXPECT_FALSE(device.updater.slot()) << about;
  }
}

TEST_F(UpdaterTest, RefusesAManifestSignedByAnotherKey) {
  coordinator_.publish(*base_, kOtherKey);
  Device device(real_, folder_.path(), coordinator_);
  const auto report = device.take(offer(1, v1_));
  ASSERT_TRUE(report);
  EXPECT_EQ(report->step, DeviceStep::kFailed);
  EXPECT_EQ(report->reason.substr(0, 10), "signature:");
  EXPECT_EQ(sent(), 0U);
  EXPECT_FALSE(device.updater.slot());
}

TEST_F(UpdaterTest, RefusesAManifestThatIsNotTheOneOffered) {
  coordinator_.manifests[v1_] = coordinator_.manifests[v2_];
  Device device(real_, folder_.path(), coordinator_);
  const auto report = device.take(offer(1, v1_));
  ASSERT_TRUE(report);
  EXPECT_EQ(report->reason.substr(0, 9), "manifest:");
}

TEST_F(UpdaterTest, RefusesAModelThatDoesNotCompute) {
  const auto broken = test::tuned_artifact(*base_, std::numeric_limits<float>::max());
  const Digest artifact = coordinator_.publish(*broken, kKey);
  Device device(real_, folder_.path(), coordinator_);
  ASSERT_TRUE(device.take(offer(1, v1_)));
  const auto report = device.take(offer(2, artifact));
  ASSERT_TRUE(report);
  EXPECT_EQ(report->reason.substr(0, 7), "canary:") << report->reason;
  EXPECT_EQ(device.updater.slot()->active, v1_);
}

TEST_F(UpdaterTest, RepeatsAReportAfterARestartUntilItIsRecorded) {
  {
    Device device(real_, folder_.path(), coordinator_);
    ASSERT_TRUE(device.take(offer(1, v1_)));
    real_.run(real_.env().clock.sleep_for(std::chrono::milliseconds(50)));  // the journal's write
  }
  Device device(real_, folder_.path(), coordinator_);
  ASSERT_EQ(device.updater.reports().size(), 1U);
  EXPECT_EQ(device.updater.reports()[0].step, DeviceStep::kCommitted);
  device.updater.recorded({{RolloutId(1), DeviceStep::kCommitted}});
  real_.run(real_.env().clock.sleep_for(std::chrono::milliseconds(20)));
  EXPECT_TRUE(device.updater.reports().empty());
}

TEST_F(UpdaterTest, RemovesPagesOfNeitherSlotButNeverThoseInUse) {
  const auto third = test::tuned_artifact(*base_, 0.5F);
  const auto fourth = test::tuned_artifact(*base_, 0.75F);
  const Digest v3 = coordinator_.publish(*third, kKey);
  const Digest v4 = coordinator_.publish(*fourth, kKey);
  Device device(real_, folder_.path(), coordinator_);
  ASSERT_TRUE(device.take(offer(1, v2_)));
  ASSERT_TRUE(device.take(offer(2, v3)));
  device.in_use = {v2_};
  ASSERT_TRUE(device.take(offer(3, v4)));
  real_.run(real_.env().clock.sleep_for(std::chrono::milliseconds(50)));
  EXPECT_TRUE(device.store.missing_from(tuned_->manifest()).value().empty());
  device.in_use.clear();
  ASSERT_TRUE(device.take(offer(4, v3)));
  real_.run(real_.env().clock.sleep_for(std::chrono::milliseconds(50)));
  EXPECT_FALSE(device.store.missing_from(tuned_->manifest()).value().empty());
  EXPECT_TRUE(device.store.missing_from(third->manifest()).value().empty());
  EXPECT_TRUE(device.store.missing_from(fourth->manifest()).value().empty());
}

TEST_F(UpdaterTest, InstallsALocalFileOnceAndOnlyWithTheRightSignature) {
  Device device(real_, folder_.path(), coordinator_);
  Env env = real_.env();
  const std::string path = folder_.path() + "/model.skein";
  ASSERT_TRUE(real_.run(write_artifact(env.disk, path, *base_, kKey)));
  const InstallOptions wrong{path, kOtherKey.public_key(), folder_.path() + "/installed"};
  const auto refused = real_.run(install_artifact(env, device.store, device.slots, wrong));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kRefused);

  const InstallOptions right{path, kKey.public_key(), folder_.path() + "/installed"};
  const auto first = real_.run(install_artifact(env, device.store, device.slots, right));
  ASSERT_TRUE(first) << to_string(first.error());
  EXPECT_EQ((*first)->active, v1_);
  const auto again = real_.run(install_artifact(env, device.store, device.slots, right));
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->has_value());
}

TEST_F(UpdaterTest, TheCoordinatorsManifestReplacesAnotherOneOfTheSamePages) {
  Env env = real_.env();
  const std::optional<SigningKey> signers[] = {std::nullopt, kOtherKey};
  for (const auto& signer : signers) {
    const test::ScopedFolder folder;
    Device device(real_, folder.path(), coordinator_);
    const std::string path = folder.path() + "/model.skein";
    ASSERT_TRUE(real_.run(write_artifact(env.disk, path, *base_, signer)));
    const InstallOptions local{path, std::nullopt, folder.path() + "/installed"};
    ASSERT_TRUE(real_.run(install_artifact(env, device.store, device.slots, local)));
    ASSERT_FALSE(
        verify_signature(real_.run(device.store.get_manifest(v1_)).value(), kKey.public_key()));
    const auto report = device.take(offer(1, v1_));
    ASSERT_TRUE(report);
    EXPECT_EQ(report->step, DeviceStep::kCommitted) << report->reason;
    EXPECT_EQ(sent(), 0U);
    EXPECT_TRUE(
        verify_signature(real_.run(device.store.get_manifest(v1_)).value(), kKey.public_key()));
  }
}

TEST_F(UpdaterTest, ALocalFileWithoutASignatureTakesNoneAway) {
  Device device(real_, folder_.path(), coordinator_);
  ASSERT_TRUE(device.take(offer(1, v1_)));
  ASSERT_TRUE(device.take(offer(2, v2_)));
  Env env = real_.env();
  const std::string path = folder_.path() + "/model.skein";
  ASSERT_TRUE(real_.run(write_artifact(env.disk, path, *base_, std::nullopt)));
  const InstallOptions local{path, std::nullopt, folder_.path() + "/installed"};
  const auto installed = real_.run(install_artifact(env, device.store, device.slots, local));
  ASSERT_TRUE(installed) << to_string(installed.error());
  EXPECT_EQ((*installed)->active, v1_);
  const auto kept = real_.run(device.store.get_manifest(v1_));
  EXPECT_TRUE(verify_signature(kept.value(), kKey.public_key()));
}

TEST_F(UpdaterTest, InstallsACodedFileAsPlainPages) {
  Device device(real_, folder_.path(), coordinator_);
  Env env = real_.env();
  const std::string path = folder_.path() + "/model.skein";
  ASSERT_TRUE(real_.run(write_artifact(env.disk, path, *base_, kKey, PageCoding::kCoded)));
  const InstallOptions options{path, kKey.public_key(), folder_.path() + "/installed"};
  // A page that was damaged on disk is taken from the file again.
  const PageEntry& first = base_->manifest().pages.front();
  ASSERT_TRUE(real_.run(device.store.put(first.digest, coordinator_.pages[first.digest])));
  std::ofstream(device.store.page_path(first.digest), std::ios::binary) << "not a page";
  const auto installed = real_.run(install_artifact(env, device.store, device.slots, options));
  ASSERT_TRUE(installed) << to_string(installed.error());
  EXPECT_EQ((*installed)->active, v1_);
  for (const PageEntry& page : base_->manifest().pages) {
    EXPECT_EQ(real_.run(device.store.get(page.digest)).value(), coordinator_.pages[page.digest]);
  }
}

TEST_F(UpdaterTest, NeverSwitchesToAFileThatDoesNotCompute) {
  const auto broken = test::tuned_artifact(*base_, std::numeric_limits<float>::max());
  Device device(real_, folder_.path(), coordinator_);
  Env env = real_.env();
  const std::string path = folder_.path() + "/broken.skein";
  ASSERT_TRUE(real_.run(write_artifact(env.disk, path, *broken, kKey, PageCoding::kCoded)));
  const InstallOptions options{path, kKey.public_key(), folder_.path() + "/installed"};
  EXPECT_FALSE(real_.run(install_artifact(env, device.store, device.slots, options)));
  EXPECT_FALSE(real_.run(device.slots.load()).value());
}

}  // namespace
}  // namespace skein
