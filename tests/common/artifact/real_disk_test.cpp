// The same rooms on the real disk: the facts that an in-memory one could get wrong by being kind.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "common/artifact/artifact_file.h"
#include "common/artifact/slots.h"
#include "common/env/real/real_env.h"
#include "tests/support/sample_artifact.h"

namespace skein {
namespace {

using test::sample_artifact;
using test::SampleArtifact;

class ArtifactOnRealDisk : public testing::Test {
 protected:
  ArtifactOnRealDisk() {
    std::string name = testing::TempDir() + "skein_artifact_XXXXXX";
    root = mkdtemp(name.data());
  }
  ~ArtifactOnRealDisk() override { std::filesystem::remove_all(root); }

  RealEnv real;
  Disk& disk = real.env().disk;
  std::string root;
};

TEST_F(ArtifactOnRealDisk, TravelsFromFileToStoreToSlotAndBack) {
  // Given an artifact file,
  SampleArtifact sample = sample_artifact(1, 30);
  const std::string path = join_path(root, "a.skein");
  ASSERT_TRUE(real.run(write_artifact(disk, path, sample, SigningKey{})));
  const auto file = open_artifact(disk, path);
  ASSERT_TRUE(file) << to_string(file.error());
  // when its pages and manifest are put into a store and committed,
  ChunkStore store(disk, join_path(root, "store"));
  ASSERT_TRUE(real.run(store.open()));
  for (std::uint32_t i = 0; i < sample.pages().size(); ++i) {
    const ByteView page = (*file)->page(PageIndex(i)).value();
    ASSERT_TRUE(real.run(store.put(sample.manifest().pages[i].digest, page)));
  }
  ASSERT_TRUE(real.run(store.put_manifest((*file)->signed_manifest())));
  Slots slots(disk, join_path(root, "slots"));
  const auto state = real.run(slots.commit(store, (*file)->digest()));
  ASSERT_TRUE(state) << to_string(state.error());
  // then a restarted device boots it, and writes the same file again.
  ChunkStore again(disk, join_path(root, "store"));
  ASSERT_TRUE(real.run(again.open()));
  const auto boots = real.run(slots.bootable(again)).value();
  ASSERT_EQ(boots, (*file)->digest());
  const auto pages = real.run(SlotPages::open(again, *boots));
  ASSERT_TRUE(pages) << to_string(pages.error());
  const std::string copy = join_path(root, "b.skein");
  ASSERT_TRUE(real.run(write_signed_artifact(disk, copy, **pages, (*pages)->signed_manifest())));
  EXPECT_EQ(to_buffer(disk.map(path).value()->bytes()), to_buffer(disk.map(copy).value()->bytes()));
}

// A file written to just now has no identity yet: the next write could bear the same time.
TEST_F(ArtifactOnRealDisk, AFileIsKnownAgainUntilItIsWrittenTo) {
  const std::string path = join_path(root, "file");
  const Buffer some(100, std::byte{1});
  ASSERT_TRUE(real.run(replace_file(disk, path, some)));
  EXPECT_EQ(disk.map(path).value()->identity(), "");
  std::this_thread::sleep_for(std::chrono::milliseconds(2100));
  const std::string identity = disk.map(path).value()->identity();
  EXPECT_NE(identity, "");
  EXPECT_EQ(disk.map(path).value()->identity(), identity);
  const auto file = real.run(disk.open(path, OpenMode::kReadWrite)).value();
  ASSERT_TRUE(real.run(file->write_at(0, some)));
  EXPECT_NE(disk.map(path).value()->identity(), identity);
}

TEST_F(ArtifactOnRealDisk, ManyTasksMayPutTheSamePagesAtOnce) {
  SampleArtifact sample = sample_artifact(2, 10);
  ChunkStore store(disk, join_path(root, "store"));
  ASSERT_TRUE(real.run(store.open()));
  TaskGroup tasks(real.env().executor);
  const auto put_all = [](ChunkStore& into, SampleArtifact& from) -> Task<void> {
    for (std::size_t i = 0; i < from.pages().size(); ++i) {
      const auto put = co_await into.put(from.manifest().pages[i].digest, from.pages()[i]);
      EXPECT_TRUE(put) << to_string(put.error());
    }
  };
  for (int task = 0; task < 8; ++task) tasks.spawn(put_all(store, sample));
  real.run(tasks.join());
  EXPECT_TRUE(real.run(store.scrub(sample.manifest()))->empty());
  ASSERT_TRUE(real.run(store.sync()));
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    files += entry.is_regular_file() ? 1 : 0;
  }
  EXPECT_EQ(files, sample.pages().size()) << "no temporary is left";
}

TEST_F(ArtifactOnRealDisk, AFileThatIsNotThereIsNotFound) {
  EXPECT_EQ(open_artifact(disk, join_path(root, "absent")).error().code, Errc::kNotFound);
  ChunkStore store(disk, join_path(root, "store"));
  ASSERT_TRUE(real.run(store.open()));
  EXPECT_EQ(real.run(store.get(sha256(as_bytes("absent")))).error().code, Errc::kNotFound);
  EXPECT_EQ(real.run(Slots(disk, join_path(root, "slots")).load()).value(), std::nullopt);
}

}  // namespace
}  // namespace skein
