#include "common/artifact/slots.h"

#include <gtest/gtest.h>

#include "tests/support/memory_disk.h"
#include "tests/support/run_task.h"
#include "tests/support/sample_artifact.h"

namespace skein {
namespace {

using test::changed_artifact;
using test::MemoryDisk;
using test::run_task;
using test::sample_artifact;
using test::SampleArtifact;

// A device's disk with a store that holds two versions of an artifact.
struct Device {
  MemoryDisk disk;
  ChunkStore store{disk, "store"};
  Slots slots{disk, "slots"};
  SampleArtifact v1 = sample_artifact(1);
  SampleArtifact v2 = changed_artifact(v1, 2);
  Digest d1, d2;

  Device() {
    EXPECT_TRUE(run_task(store.open()));
    d1 = hold(v1);
    d2 = hold(v2);
  }
  Digest hold(SampleArtifact& artifact) {
    for (std::size_t i = 0; i < artifact.pages().size(); ++i) {
      EXPECT_TRUE(run_task(store.put(artifact.manifest().pages[i].digest, artifact.pages()[i])));
    }
    const SignedManifest manifest = sign_manifest(artifact.manifest(), std::nullopt);
    EXPECT_TRUE(run_task(store.put_manifest(manifest)));
    return manifest.digest();
  }
  SlotState commit(const Digest& digest) { return run_task(slots.commit(store, digest)).value(); }
};

TEST(Slots, AreEmptyBeforeTheFirstCommit) {
  Device device;
  EXPECT_EQ(run_task(device.slots.load()).value(), std::nullopt);
  EXPECT_EQ(run_task(device.slots.bootable(device.store)).value(), std::nullopt);
  EXPECT_EQ(run_task(device.slots.roll_back(device.store)).error().code, Errc::kConflict);
}

TEST(Slots, RememberTheActiveAndThePrevious) {
  Device device;
  EXPECT_EQ(device.commit(device.d1), (SlotState{1, device.d1, std::nullopt}));
  EXPECT_EQ(device.commit(device.d2), (SlotState{2, device.d2, device.d1}));
  EXPECT_EQ(run_task(Slots(device.disk, "slots").load()).value(),
            (SlotState{2, device.d2, device.d1}));
}

TEST(Slots, CommittingTheActiveAgainChangesNothing) {
  Device device;
  device.commit(device.d1);
  EXPECT_EQ(device.commit(device.d1).generation, 1U);
}

TEST(Slots, RollBackReturnsToThePrevious) {
  Device device;
  device.commit(device.d1);
  device.commit(device.d2);
  EXPECT_EQ(run_task(device.slots.roll_back(device.store)).value(),
            (SlotState{3, device.d1, device.d2}));
}

TEST(Slots, RefuseAnArtifactThatIsNotWhole) {
  Device device;
  device.commit(device.d1);
  const Digest lost = device.v2.manifest().pages[0].digest;
  ASSERT_TRUE(run_task(device.store.remove(lost)));
  const auto refused = run_task(device.slots.commit(device.store, device.d2));
  ASSERT_FALSE(refused);
  EXPECT_EQ(to_string(refused.error()), "1 of " + std::to_string(device.v2.pages().size()) +
                                            " pages of " + device.d2.short_hex() +
                                            " are missing (page 0 first): fetch the missing pages");
  EXPECT_EQ(run_task(device.slots.commit(device.store, sha256(as_bytes("absent")))).error().code,
            Errc::kNotFound);
  EXPECT_EQ(run_task(device.slots.load()).value()->active, device.d1);
}

TEST(Slots, ATornPointerFallsBackToTheOneBefore) {
  Device device;
  device.commit(device.d1);
  device.commit(device.d2);
  const Buffer good = device.disk.contents("slots/slot.0");
  for (std::size_t i = 0; i < good.size(); ++i) {
    Buffer torn = good;
    torn[i] ^= std::byte{0x10};
    if (i % 2 == 0) torn.resize(i);
    device.disk.place("slots/slot.0", torn);
    EXPECT_EQ(run_task(device.slots.load()).value(), (SlotState{1, device.d1, std::nullopt})) << i;
  }
  // and a new commit mends it.
  EXPECT_EQ(device.commit(device.d2).generation, 2U);
  EXPECT_EQ(run_task(device.slots.load()).value()->active, device.d2);
}

TEST(Slots, WithBothPointersTornSaySo) {
  Device device;
  device.commit(device.d1);
  device.disk.contents("slots/slot.1").clear();
  const auto torn = run_task(device.slots.load());
  ASSERT_FALSE(torn);
  EXPECT_EQ(to_string(torn.error()),
            "no slot pointer can be read (slots): remove the folder and fetch the artifact again");
}

TEST(Slots, BootTheFirstArtifactThatIsWhole) {
  Device device;
  device.commit(device.d1);
  device.commit(device.d2);
  EXPECT_EQ(run_task(device.slots.bootable(device.store)).value(), device.d2);
  ASSERT_TRUE(run_task(device.store.remove(device.v2.manifest().pages[0].digest)));
  EXPECT_EQ(run_task(device.slots.bootable(device.store)).value(), device.d1);
  ASSERT_TRUE(run_task(device.store.remove(device.v1.manifest().pages[0].digest)));
  EXPECT_EQ(run_task(device.slots.bootable(device.store)).value(), std::nullopt);
}

TEST(Slots, APowerCutAnywhereInAnUpdateLeavesABootableArtifact) {
  for (const auto cut :
       {MemoryDisk::Cut::kForgetsUnsynced, MemoryDisk::Cut::kKeepsNamesOfTornFiles}) {
    bool finished = false;
    for (std::uint64_t n = 0; !finished; ++n) {
      // Given a device on v1, when the power fails at step n of fetching v3 and switching to it,
      Device device;
      device.commit(device.d1);
      SampleArtifact v3 = changed_artifact(device.v2, 3);
      const SignedManifest manifest = sign_manifest(v3.manifest(), std::nullopt);
      device.disk.fail_after(n);
      const auto update = [&]() -> Result<void> {
        TRY_VOID(run_task(device.store.put_manifest(manifest)));
        TRY_VOID(run_task(device.store.put(v3.manifest().pages[0].digest, v3.pages()[0])));
        TRY_VOID(run_task(device.slots.commit(device.store, manifest.digest())));
        return {};
      };
      finished = update().has_value();
      device.disk.crash(cut);
      // then it boots v1 or v3, whole and verified; v3 if the switch was reported done.
      ChunkStore store(device.disk, "store");
      Slots slots(device.disk, "slots");
      ASSERT_TRUE(run_task(store.open())) << n;
      const auto boots = run_task(slots.bootable(store)).value();
      ASSERT_TRUE(boots.has_value()) << n;
      EXPECT_TRUE(*boots == device.d1 || *boots == manifest.digest()) << n;
      EXPECT_EQ(*boots, run_task(slots.load()).value()->active) << n;
      if (finished) EXPECT_EQ(*boots, manifest.digest());
      const auto pages = run_task(SlotPages::open(store, *boots));
      ASSERT_TRUE(pages) << to_string(pages.error());
      EXPECT_TRUE((*pages)->verify_all()) << n;
    }
  }
}

TEST(SlotPages, GiveTheStoredPages) {
  Device device;
  const auto pages = run_task(SlotPages::open(device.store, device.d2));
  ASSERT_TRUE(pages) << to_string(pages.error());
  EXPECT_TRUE((*pages)->manifest() == device.v2.manifest());
  for (std::uint32_t i = 0; i < device.v2.pages().size(); ++i) {
    const auto page = (*pages)->page(PageIndex(i));
    ASSERT_TRUE(page) << to_string(page.error());
    EXPECT_EQ(to_buffer(*page), device.v2.pages()[i]);
    EXPECT_EQ((*pages)->page(PageIndex(i))->data(), page->data());
  }
  EXPECT_EQ((*pages)->page(PageIndex(999)).error().code, Errc::kNotFound);
}

TEST(SlotPages, NameADamagedPageAndNeverGiveIt) {
  Device device;
  const auto pages = run_task(SlotPages::open(device.store, device.d1)).value();
  const Digest damaged = device.v1.manifest().pages[1].digest;
  const std::string path = device.store.page_path(damaged);
  device.disk.contents(path)[0] ^= std::byte{1};
  EXPECT_TRUE(pages->page(PageIndex(0)));
  for (int time = 0; time < 2; ++time) {
    EXPECT_EQ(to_string(pages->page(PageIndex(1)).error()),
              "page 1 of " + device.d1.short_hex() + " does not match its hash (" + path +
                  "): fetch the artifact again");
  }
  EXPECT_EQ(pages->damaged(), std::vector{damaged});
}

TEST(SlotPages, PartsOfAPageAreVerifiedEachTimeTheyAreRead) {
  Device device;
  const auto pages = run_task(SlotPages::open(device.store, device.d1)).value();
  const Buffer& stored = device.v1.pages()[1];
  Buffer part(stored.size() - 1);
  ASSERT_TRUE(pages->read(PageIndex(1), 1, part));
  EXPECT_TRUE(std::ranges::equal(part, ByteView(stored).subspan(1)));
  EXPECT_EQ(pages->read(PageIndex(1), 2, part).error().code, Errc::kCorrupt);
  EXPECT_EQ(pages->read(PageIndex(999), 0, part).error().code, Errc::kNotFound);
  const Digest damaged = device.v1.manifest().pages[1].digest;
  device.disk.contents(device.store.page_path(damaged))[0] ^= std::byte{1};
  EXPECT_FALSE(pages->read(PageIndex(1), 1, part));
  EXPECT_EQ(pages->damaged(), std::vector{damaged});
}

TEST(SlotPages, APageLongerThanTheManifestSaysIsRefused) {
  // Given a signed manifest that names a stored page but lies about its length,
  Device device;
  Manifest lie = device.v1.manifest();
  lie.tensors.clear();
  lie.tokenizer = {};
  lie.pages[0].bytes += 64;
  const SignedManifest manifest = sign_manifest(lie, std::nullopt);
  ASSERT_TRUE(run_task(device.store.put_manifest(manifest)));
  const auto pages = run_task(SlotPages::open(device.store, manifest.digest())).value();
  EXPECT_EQ(pages->page(PageIndex(0)).error().code, Errc::kCorrupt);
}

TEST(SlotPages, DoNotOpenWithAPageMissing) {
  Device device;
  ASSERT_TRUE(run_task(device.store.remove(device.v1.manifest().pages[0].digest)));
  EXPECT_EQ(run_task(SlotPages::open(device.store, device.d1)).error().code, Errc::kNotFound);
}

}  // namespace
}  // namespace skein
