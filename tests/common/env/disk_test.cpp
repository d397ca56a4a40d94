#include "common/env/disk.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "common/env/real/real_env.h"

namespace skein {
namespace {

class RealDisk : public testing::Test {
 protected:
  RealDisk() {
    std::string name = testing::TempDir() + "skein_disk_XXXXXX";
    CHECK(::mkdtemp(name.data()) != nullptr);
    root = name;
  }
  ~RealDisk() override {
    for (const std::string& name : real.run(disk.list(root)).value_or(std::vector<std::string>{})) {
      (void)real.run(disk.remove(path(name)));
    }
    (void)real.run(disk.remove(root));
  }
  std::string path(std::string_view name) const { return join_path(root, name); }

  RealEnv real;
  Disk& disk = real.env().disk;
  std::string root;
};

TEST_F(RealDisk, ReadsBackWhatWasReplaced) {
  ASSERT_TRUE(real.run(replace_file(disk, path("a"), as_bytes("first"))));
  ASSERT_TRUE(real.run(replace_file(disk, path("a"), as_bytes("second, longer"))));
  const auto bytes = real.run(read_file(disk, path("a"), 100));
  ASSERT_TRUE(bytes);
  EXPECT_EQ(as_text(*bytes), "second, longer");
  EXPECT_EQ(*real.run(disk.list(root)), std::vector<std::string>{"a"});
}

TEST_F(RealDisk, WritesAtAnOffsetGrowTheFile) {
  auto file = real.run(disk.open(path("grow"), OpenMode::kCreate));
  ASSERT_TRUE(file);
  const std::string big(300'000, 'x');
  ASSERT_TRUE(real.run((*file)->write_at(10, as_bytes(big))));
  EXPECT_EQ((*file)->size(), 300'010U);
  Buffer tail(10);
  ASSERT_TRUE(real.run((*file)->read_at(300'000, tail)));
  EXPECT_EQ(as_text(tail), "xxxxxxxxxx");
  ASSERT_TRUE(real.run((*file)->sync()));
}

TEST_F(RealDisk, RefusesAReadPastTheEnd) {
  ASSERT_TRUE(real.run(replace_file(disk, path("short"), as_bytes("12345"))));
  auto file = real.run(disk.open(path("short"), OpenMode::kRead));
  ASSERT_TRUE(file);
  Buffer six(6);
  const auto read = real.run((*file)->read_at(0, six));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Errc::kCorrupt);
  EXPECT_EQ(read.error().what, "the file ends at byte 5");
}

TEST_F(RealDisk, SaysWhichFileIsMissingAndWhatToDo) {
  const auto missing = real.run(disk.open(path("nowhere"), OpenMode::kReadWrite));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Errc::kNotFound);
  EXPECT_EQ(missing.error().where, path("nowhere"));
  EXPECT_FALSE(missing.error().remedy.empty());
  EXPECT_EQ(*disk.exists(path("nowhere")), false);
  EXPECT_TRUE(real.run(disk.remove(path("nowhere"))));
  EXPECT_EQ(real.run(disk.list(path("nowhere"))).error().code, Errc::kNotFound);
}

TEST_F(RealDisk, MapsAWholeFileAndAnEmptyOne) {
  ASSERT_TRUE(real.run(replace_file(disk, path("m"), as_bytes("mapped"))));
  ASSERT_TRUE(real.run(replace_file(disk, path("e"), {})));
  const auto mapped = disk.map(path("m"));
  ASSERT_TRUE(mapped);
  EXPECT_EQ(as_text((*mapped)->bytes()), "mapped");
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>((*mapped)->bytes().data()) % 64, 0U);
  const auto empty = disk.map(path("e"));
  ASSERT_TRUE(empty);
  EXPECT_TRUE((*empty)->bytes().empty());
}

TEST_F(RealDisk, RefusesAPipeInsteadOfReadingItAsEmpty) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const auto bytes = real.run(read_file(disk, "/dev/fd/" + std::to_string(ends[0]), 100));
  ::close(ends[0]);
  ::close(ends[1]);
  ASSERT_FALSE(bytes);
  EXPECT_NE(to_string(bytes.error()).find("not a regular file"), std::string::npos);
}

TEST_F(RealDisk, MakesNestedDirectoriesOnceAndAgain) {
  ASSERT_TRUE(real.run(disk.make_directories(path("one/two"))));
  ASSERT_TRUE(real.run(disk.make_directories(path("one/two"))));
  EXPECT_EQ(*real.run(disk.list(path("one"))), std::vector<std::string>{"two"});
  ASSERT_TRUE(real.run(disk.remove(path("one/two"))));
}

TEST_F(RealDisk, RefusesAFileLargerThanItMayBe) {
  ASSERT_TRUE(real.run(replace_file(disk, path("big"), as_bytes("0123456789"))));
  const auto read = real.run(read_file(disk, path("big"), 9));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Errc::kCorrupt);
}

TEST_F(RealDisk, ServesMoreOperationsThanItHasRoomFor) {
  auto file = real.run(disk.open(path("many"), OpenMode::kCreate));
  ASSERT_TRUE(file);
  TaskGroup group(real.env().executor);
  int done = 0;
  auto put = [](File& f, std::uint64_t at, int& count) -> Task<void> {
    const Buffer byte(1, std::byte{7});
    if (co_await f.write_at(at, byte)) ++count;
  };
  for (std::uint64_t i = 0; i < 1000; ++i) group.spawn(put(**file, i, done));
  real.run(group.join());
  EXPECT_EQ(done, 1000);
  EXPECT_EQ((*file)->size(), 1000U);
}

TEST_F(RealDisk, KnowsItsFreeSpace) {
  const auto space = disk.free_bytes(root);
  ASSERT_TRUE(space);
  EXPECT_GT(*space, 0U);
}

}  // namespace
}  // namespace skein
