#include "common/artifact/chunk_store.h"

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

constexpr const char* kRoot = "store";

Result<void> put_all(ChunkStore& store, SampleArtifact& artifact) {
  for (std::size_t i = 0; i < artifact.pages().size(); ++i) {
    TRY_VOID(run_task(store.put(artifact.manifest().pages[i].digest, artifact.pages()[i])));
  }
  return run_task(store.sync());
}

struct Fixture {
  MemoryDisk disk;
  ChunkStore store{disk, kRoot};
  SampleArtifact sample = sample_artifact(1);
  Digest first = sample.manifest().pages[0].digest;

  Fixture() { EXPECT_TRUE(run_task(store.open())); }
  std::size_t missing() { return store.missing_from(sample.manifest())->size(); }
};

TEST(ChunkStore, GivesBackWhatWasPut) {
  Fixture f;
  ASSERT_EQ(f.missing(), f.sample.pages().size());
  ASSERT_TRUE(put_all(f.store, f.sample));
  EXPECT_EQ(f.missing(), 0U);
  for (std::size_t i = 0; i < f.sample.pages().size(); ++i) {
    EXPECT_EQ(run_task(f.store.get(f.sample.manifest().pages[i].digest)).value(),
              f.sample.pages()[i]);
  }
}

TEST(ChunkStore, RefusesAPageWhoseHashDiffers) {
  Fixture f;
  const auto refused = run_task(f.store.put(f.first, f.sample.pages()[1]));
  ASSERT_FALSE(refused);
  EXPECT_EQ(to_string(refused.error()), "the " + std::to_string(f.sample.pages()[1].size()) +
                                            " bytes that came are not page " + f.first.short_hex() +
                                            ": fetch the page again");
  EXPECT_FALSE(f.store.contains(f.first).value());
  EXPECT_FALSE(run_task(f.store.put(sha256({}), {})));
  const Buffer huge(kMaxPageBytes + 1);
  EXPECT_FALSE(run_task(f.store.put(sha256(huge), huge)));
}

TEST(ChunkStore, PuttingTwiceIsOnce) {
  Fixture f;
  ASSERT_TRUE(run_task(f.store.put(f.first, f.sample.pages()[0])));
  const auto paths = f.disk.paths();
  ASSERT_TRUE(run_task(f.store.put(f.first, f.sample.pages()[0])));
  EXPECT_EQ(f.disk.paths(), paths);
}

TEST(ChunkStore, ADamagedPageIsRemovedAndCanBePutAgain) {
  Fixture f;
  ASSERT_TRUE(put_all(f.store, f.sample));
  const std::string path = f.store.page_path(f.first);
  f.disk.contents(path)[0] ^= std::byte{1};
  const auto damaged = run_task(f.store.get(f.first));
  ASSERT_FALSE(damaged);
  EXPECT_EQ(to_string(damaged.error()), "page " + f.first.short_hex() +
                                            " did not match its hash and was removed (" + path +
                                            "): fetch the page again");
  EXPECT_EQ(f.missing(), 1U);
  ASSERT_TRUE(run_task(f.store.put(f.first, f.sample.pages()[0])));
  EXPECT_TRUE(run_task(f.store.get(f.first)));
}

TEST(ChunkStore, PuttingOverADamagedPageMendsIt) {
  Fixture f;
  ASSERT_TRUE(put_all(f.store, f.sample));
  f.disk.contents(f.store.page_path(f.first)).resize(1);
  ASSERT_TRUE(run_task(f.store.put(f.first, f.sample.pages()[0])));
  EXPECT_TRUE(run_task(f.store.get(f.first)));
}

TEST(ChunkStore, AnOversizedFileIsDamageNotAnAllocation) {
  Fixture f;
  f.disk.place(f.store.page_path(f.first), Buffer(kMaxPageBytes + 1));
  const auto damaged = run_task(f.store.get(f.first));
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code, Errc::kCorrupt);
  EXPECT_FALSE(f.store.contains(f.first).value());
}

TEST(ChunkStore, AnAbsentPageIsNotFound) {
  Fixture f;
  EXPECT_EQ(run_task(f.store.get(f.first)).error().code, Errc::kNotFound);
  EXPECT_TRUE(run_task(f.store.remove(f.first)));
}

TEST(ChunkStore, ScrubFindsEveryDamagedPage) {
  Fixture f;
  ASSERT_TRUE(put_all(f.store, f.sample));
  f.disk.contents(f.store.page_path(f.sample.manifest().pages[0].digest))[0] ^= std::byte{1};
  f.disk.contents(f.store.page_path(f.sample.manifest().pages[2].digest)).clear();
  EXPECT_EQ(f.missing(), 0U);
  const auto missing = run_task(f.store.scrub(f.sample.manifest()));
  ASSERT_TRUE(missing) << to_string(missing.error());
  EXPECT_EQ(*missing, (std::vector{PageIndex(0), PageIndex(2)}));
}

TEST(ChunkStore, ManifestsAreKeptWithTheirSignatures) {
  Fixture f;
  const SignedManifest manifest = sign_manifest(f.sample.manifest(), SigningKey{});
  ASSERT_TRUE(run_task(f.store.put_manifest(manifest)));
  EXPECT_EQ(run_task(f.store.get_manifest(manifest.digest())).value(), manifest);
  EXPECT_EQ(run_task(f.store.manifests()).value(), std::vector{manifest.digest()});
}

TEST(ChunkStore, ADamagedManifestIsRemoved) {
  Fixture f;
  const SignedManifest manifest = sign_manifest(f.sample.manifest(), SigningKey{});
  ASSERT_TRUE(run_task(f.store.put_manifest(manifest)));
  f.disk.contents("store/manifests/" + manifest.digest().hex()).back() ^= std::byte{1};
  EXPECT_EQ(run_task(f.store.get_manifest(manifest.digest())).error().code, Errc::kCorrupt);
  EXPECT_EQ(run_task(f.store.get_manifest(manifest.digest())).error().code, Errc::kNotFound);
}

TEST(ChunkStore, KeepsOnlyWhatIsReferenced) {
  Fixture f;
  SampleArtifact next = changed_artifact(f.sample, 2);
  const SignedManifest old_manifest = sign_manifest(f.sample.manifest(), std::nullopt);
  const SignedManifest new_manifest = sign_manifest(next.manifest(), std::nullopt);
  ASSERT_TRUE(put_all(f.store, f.sample));
  ASSERT_TRUE(put_all(f.store, next));
  ASSERT_TRUE(run_task(f.store.put_manifest(old_manifest)));
  ASSERT_TRUE(run_task(f.store.put_manifest(new_manifest)));

  const auto removed = run_task(f.store.remove_unreferenced({new_manifest.digest()}));
  ASSERT_TRUE(removed) << to_string(removed.error());
  EXPECT_EQ(removed->manifests, 1U);
  EXPECT_EQ(removed->pages, 1U);
  EXPECT_FALSE(f.store.contains(f.first).value());
  EXPECT_TRUE(f.store.missing_from(next.manifest())->empty());
}

TEST(ChunkStore, RemovesNothingWhenAKeptManifestCannotBeRead) {
  Fixture f;
  ASSERT_TRUE(put_all(f.store, f.sample));
  const auto removed = run_task(f.store.remove_unreferenced({sha256(as_bytes("absent"))}));
  ASSERT_FALSE(removed);
  EXPECT_EQ(f.missing(), 0U);
}

TEST(ChunkStore, TheNextStartRemovesWhatACrashLeftHalfWritten) {
  Fixture f;
  f.disk.place(f.store.page_path(f.first) + ".0.new", to_buffer("half"));
  f.disk.place("store/manifests/" + f.first.hex() + ".1.new", to_buffer("half"));
  ChunkStore again(f.disk, kRoot);
  ASSERT_TRUE(run_task(again.open()));
  EXPECT_TRUE(f.disk.paths().empty());
}

TEST(ChunkStore, AfterAPowerCutEveryPageIsWholeOrAbsent) {
  for (const auto cut :
       {MemoryDisk::Cut::kForgetsUnsynced, MemoryDisk::Cut::kKeepsNamesOfTornFiles}) {
    bool finished = false;
    for (std::uint64_t n = 0; !finished; ++n) {
      // When the power fails at step n of filling the store,
      Fixture f;
      f.disk.fail_after(n);
      finished = put_all(f.store, f.sample).has_value();
      f.disk.crash(cut);
      // then after a restart whatever is there reads well, and a second run completes it.
      ChunkStore again(f.disk, kRoot);
      ASSERT_TRUE(run_task(again.open()));
      const std::size_t before = again.missing_from(f.sample.manifest())->size();
      EXPECT_EQ(run_task(again.scrub(f.sample.manifest()))->size(), before) << n;
      if (finished) EXPECT_EQ(before, 0U);
      ASSERT_TRUE(put_all(again, f.sample));
      EXPECT_TRUE(run_task(again.scrub(f.sample.manifest()))->empty());
    }
  }
}

}  // namespace
}  // namespace skein
