// Every kind of real BlockReads on real files.
#include "common/env/block_reads.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <random>
#include <thread>

#include "common/env/real/internal/block_engines.h"

namespace skein {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kBlock = BlockReads::kMostAlignment;

struct AlignedFree {
  void operator()(std::byte* bytes) const { std::free(bytes); }
};
struct Memory {  // aligned for any kind
  explicit Memory(std::size_t bytes)
      : size(bytes), at(static_cast<std::byte*>(std::aligned_alloc(kBlock, bytes))) {
    std::memset(at.get(), 0xEE, bytes);
  }
  MutableByteView view() { return {at.get(), size}; }
  std::size_t size;
  std::unique_ptr<std::byte, AlignedFree> at;
};

Buffer noise(std::size_t bytes) {
  std::mt19937_64 random(7);
  Buffer out(bytes);
  for (std::byte& byte : out) byte = static_cast<std::byte>(random());
  return out;
}

// What a read of this range must give: the file's bytes, then zeros.
Buffer expected(const Buffer& file, std::uint64_t offset, std::size_t size) {
  Buffer out(size);
  const std::size_t there =
      std::min(size, file.size() - std::min<std::size_t>(file.size(), offset));
  std::copy_n(file.begin() + static_cast<std::ptrdiff_t>(offset), there, out.begin());
  return out;
}

class RealBlockReads : public ::testing::TestWithParam<const char*> {
 protected:
  RealBlockReads()
      : path_(std::filesystem::temp_directory_path() /
              ("skein-blocks-" + std::to_string(::getpid()))) {}
  ~RealBlockReads() override { std::filesystem::remove(path_); }

  void SetUp() override {
    write(noise(4096));
    const auto reads = real::open_block_reads(path_, *parse_block_io(GetParam()));
    if (reads) return;
    ASSERT_EQ(reads.error().code, Errc::kUnsupported) << to_string(reads.error());
    std::cerr << "NOT TESTED HERE: " << to_string(reads.error()) << '\n';
    GTEST_SKIP() << to_string(reads.error());
  }
  void write(const Buffer& bytes) {
    const int fd = ::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ASSERT_GE(fd, 0);
    std::size_t put = 0;
    while (put < bytes.size()) {
      const ssize_t more = ::write(fd, bytes.data() + put, bytes.size() - put);
      ASSERT_GT(more, 0);
      put += static_cast<std::size_t>(more);
    }
    ::fsync(fd);
    ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    ::close(fd);
  }
  std::unique_ptr<BlockReads> open() {
    auto reads = real::open_block_reads(path_, *parse_block_io(GetParam()));
    EXPECT_TRUE(reads) << to_string(reads.error());
    return std::move(*reads);
  }
  std::size_t pages_in_cache(std::size_t size) {
    const int fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    void* at = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
    std::vector<unsigned char> there((size + kBlock - 1) / kBlock);
    EXPECT_EQ(::mincore(at, size, there.data()), 0);
    ::munmap(at, size);
    ::close(fd);
    return static_cast<std::size_t>(
        std::ranges::count_if(there, [](unsigned char page) { return (page & 1) != 0; }));
  }

  std::string path_;
};

// Takes until `count` have come; each must be fine.
void take_all(BlockReads& reads, std::size_t count, std::vector<std::uint64_t>* tags = nullptr) {
  std::vector<BlockReadDone> done(64);
  for (std::size_t taken = 0; taken < count;) {
    const std::size_t got = reads.wait(done, 1, seconds(60));
    ASSERT_GT(got, 0U);
    for (std::size_t i = 0; i < got; ++i) {
      ASSERT_TRUE(done[i].result) << to_string(done[i].result.error());
      if (tags != nullptr) tags->push_back(done[i].tag);
    }
    taken += got;
  }
}

TEST_P(RealBlockReads, RandomRangesAreTheFilesBytes) {
  const Buffer file = noise(3'000'001);
  write(file);
  const auto reads = open();
  ASSERT_EQ(reads->size(), file.size());
  std::mt19937_64 random(1);
  const std::size_t unit = reads->alignment();
  const std::size_t end = (file.size() + kBlock - 1) / kBlock * kBlock;
  for (int round = 0; round < 20; ++round) {
    Memory memory(64 * 32 * kBlock);
    std::vector<BlockRead> asked;
    for (std::size_t i = 0; i < 64; ++i) {
      const std::size_t size = (1 + random() % (32 * kBlock / unit)) * unit;
      const std::uint64_t offset = random() % ((end - size) / unit + 1) * unit;
      asked.push_back({offset, memory.view().subspan(i * 32 * kBlock, size), i});
    }
    ASSERT_TRUE(reads->submit(asked));
    take_all(*reads, asked.size());
    for (const BlockRead& read : asked) {
      const Buffer right = expected(file, read.offset, read.out.size());
      ASSERT_EQ(std::memcmp(read.out.data(), right.data(), right.size()), 0) << read.offset;
    }
  }
}

TEST_P(RealBlockReads, HundredsQueuedAllComeBackOnce) {
  const Buffer file = noise(1 << 20);
  write(file);
  const auto reads = open();
  constexpr std::size_t kCount = BlockReads::kMostQueued;
  Memory memory(kCount * kBlock);
  std::vector<BlockRead> asked;
  for (std::size_t i = 0; i < kCount; ++i) {
    asked.push_back({i % 256 * kBlock, memory.view().subspan(i * kBlock, kBlock), i});
  }
  ASSERT_TRUE(reads->submit(asked));
  const auto above = reads->submit(std::span(asked).first(1));
  ASSERT_FALSE(above);
  EXPECT_EQ(above.error().code, Errc::kOutOfRoom);
  std::vector<std::uint64_t> tags;
  take_all(*reads, kCount, &tags);
  std::ranges::sort(tags);
  for (std::size_t i = 0; i < kCount; ++i) ASSERT_EQ(tags[i], i);
  EXPECT_EQ(std::memcmp(memory.view().data(), file.data(), file.size()), 0);
  std::vector<BlockReadDone> none(1);
  EXPECT_EQ(reads->wait(none, 1, seconds(60)), 0U);  // nothing is out: it does not wait
  ASSERT_TRUE(reads->submit(std::span(asked).first(1)));
  take_all(*reads, 1);
}

TEST_P(RealBlockReads, WhatIsDoneStaysUntilThereIsRoomForIt) {
  write(noise(64 * kBlock));
  const auto reads = open();
  Memory memory(8 * kBlock);
  std::vector<BlockRead> asked;
  for (std::size_t i = 0; i < 8; ++i) {
    asked.push_back({i * kBlock, memory.view().subspan(i * kBlock, kBlock), i});
  }
  ASSERT_TRUE(reads->submit(asked));
  std::vector<BlockReadDone> done(3);
  EXPECT_EQ(reads->wait(done, 8, seconds(60)), 3U);
  EXPECT_EQ(reads->wait(done, 3, seconds(60)), 3U);
  EXPECT_EQ(reads->wait(done, 3, seconds(60)), 2U);
}

TEST_P(RealBlockReads, NothingStaysInThePageCache) {
  const Buffer file = noise(4 << 20);
  write(file);
  const std::size_t before = pages_in_cache(file.size());
  if (before > 64) {
    std::cerr << "NOT TESTED HERE: the file system of " << path_ << " keeps its pages in memory\n";
    GTEST_SKIP() << "a file system in memory";
  }
  const auto reads = open();
  Memory memory(file.size());
  std::vector<BlockRead> asked;
  for (std::size_t at = 0; at < file.size(); at += 4 * kBlock) {
    asked.push_back({at, memory.view().subspan(at, 4 * kBlock), at});
  }
  ASSERT_TRUE(reads->submit(asked));
  take_all(*reads, asked.size());
  EXPECT_EQ(std::memcmp(memory.view().data(), file.data(), file.size()), 0);
  EXPECT_LE(pages_in_cache(file.size()), before + 32);
}

TEST_P(RealBlockReads, AFileThatBecameShorterIsNamedWithItsPlace) {
  write(noise(64 * kBlock));
  const auto reads = open();
  ASSERT_EQ(::truncate(path_.c_str(), 10 * kBlock + 100), 0);
  Memory memory(12 * kBlock);
  const BlockRead asked[] = {{0, memory.view().first(4 * kBlock), 1},
                             {8 * kBlock, memory.view().subspan(4 * kBlock, 4 * kBlock), 2},
                             {32 * kBlock, memory.view().subspan(8 * kBlock, 4 * kBlock), 3}};
  ASSERT_TRUE(reads->submit(asked));
  std::vector<BlockReadDone> done(3);
  ASSERT_EQ(reads->wait(done, 3, seconds(60)), 3U);
  for (const BlockReadDone& each : done) {
    if (each.tag == 1) {
      EXPECT_TRUE(each.result);
      continue;
    }
    ASSERT_FALSE(each.result);
    EXPECT_EQ(each.result.error().code, Errc::kCorrupt);
    const std::string end = std::to_string(each.tag == 2 ? 10 * kBlock + 100 : 32 * kBlock);
    const std::string text = to_string(each.result.error());
    EXPECT_NE(text.find("ends at byte " + end), std::string::npos) << text;
    EXPECT_NE(text.find(path_), std::string::npos) << text;
  }
}

TEST_P(RealBlockReads, TheLastBlockIsFilledUpWithZeros) {
  const Buffer file = noise(kBlock + 1);
  write(file);
  const auto reads = open();
  Memory memory(2 * kBlock);
  const BlockRead whole{0, memory.view(), 5};
  ASSERT_TRUE(reads->submit({&whole, 1}));
  take_all(*reads, 1);
  const Buffer right = expected(file, 0, 2 * kBlock);
  EXPECT_EQ(std::memcmp(memory.view().data(), right.data(), right.size()), 0);
}

TEST_P(RealBlockReads, WhatMakesNoSenseIsRefusedWhole) {
  write(noise(2 * kBlock));
  const auto reads = open();
  Memory memory(4 * kBlock);
  const BlockRead good{0, memory.view().first(kBlock), 1};
  for (const BlockRead& bad : {BlockRead{0, {}, 2}, BlockRead{2 * kBlock, good.out, 2},
                               BlockRead{kBlock, memory.view().first(2 * kBlock), 2},
                               BlockRead{~0ULL - kBlock + 1, good.out, 2}}) {
    const BlockRead both[] = {good, bad};
    const auto refused = reads->submit(both);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::kUsage);
  }
  if (reads->alignment() > 1) {
    const BlockRead crooked{0, memory.view().subspan(1, kBlock), 2};
    EXPECT_FALSE(reads->submit({&crooked, 1}));
  }
  std::vector<BlockReadDone> none(1);
  EXPECT_EQ(reads->wait(none, 1, seconds(60)), 0U);
}

TEST_P(RealBlockReads, GoingAwayWhileReadsAreOutWaitsForTheDevice) {
  write(noise(8 << 20));
  for (int round = 0; round < 20; ++round) {
    Memory memory(8 << 20);
    {
      const auto reads = open();
      std::vector<BlockRead> asked;
      for (std::size_t at = 0; at < memory.size; at += 4 * kBlock) {
        asked.push_back({at, memory.view().subspan(at, 4 * kBlock), at});
      }
      ASSERT_TRUE(reads->submit(asked));
      std::vector<BlockReadDone> done(4);
      reads->wait(done, static_cast<std::size_t>(round % 3), milliseconds(1));
    }
    const Buffer now(memory.view().begin(), memory.view().end());
    std::this_thread::sleep_for(milliseconds(2));
    EXPECT_EQ(std::memcmp(now.data(), memory.view().data(), now.size()), 0);
  }
}

TEST_P(RealBlockReads, OneThreadMaySubmitAndAnotherTake) {
  const Buffer file = noise(1 << 20);
  write(file);
  const auto reads = open();
  Memory memory(file.size());
  std::thread submitting([&] {
    for (std::size_t at = 0; at < file.size(); at += kBlock) {
      const BlockRead read{at, memory.view().subspan(at, kBlock), at};
      ASSERT_TRUE(reads->submit({&read, 1}));
    }
  });
  submitting.join();
  take_all(*reads, file.size() / kBlock);
  EXPECT_EQ(std::memcmp(memory.view().data(), file.data(), file.size()), 0);
}

INSTANTIATE_TEST_SUITE_P(Kinds, RealBlockReads,
                         ::testing::Values("io_uring,direct", "io_uring,buffered", "pread,direct",
                                           "pread,buffered"),
                         [](const auto& each) {
                           std::string name = each.param;
                           std::ranges::replace(name, ',', '_');
                           return name;
                         });

TEST(BlockFile, ReadsGoOnWhereTheyCameBackShort) {
  const std::string path =
      std::filesystem::temp_directory_path() / ("skein-short-" + std::to_string(::getpid()));
  std::filesystem::remove(path);
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_EQ(::ftruncate(fd, 10 * kBlock), 0);
  ::close(fd);
  const auto file = real::BlockFile::open(path, PageCacheUse::kBuffered);
  std::filesystem::remove(path);
  ASSERT_TRUE(file);
  Memory memory(4 * kBlock);
  real::BlockProgress progress{.read = {kBlock, memory.view(), 1}};
  EXPECT_EQ(file->advance(progress, 1000), Result<bool>(false));
  EXPECT_EQ(progress.filled, 1000U);
  EXPECT_EQ(file->advance(progress, -EINTR), Result<bool>(false));
  EXPECT_EQ(file->advance(progress, 4 * kBlock - 1000), Result<bool>(true));

  progress = {.read = {kBlock, memory.view(), 1}};
  const auto failed = file->advance(progress, -EIO);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Errc::kInput);
  EXPECT_NE(to_string(failed.error()).find("byte 4096"), std::string::npos);
  EXPECT_EQ(failed.error().where, path);

  for (std::uint32_t i = 1; i < real::BlockFile::kMostTries; ++i) {
    ASSERT_EQ(file->advance(progress, -EAGAIN), Result<bool>(false));
  }
  EXPECT_FALSE(file->advance(progress, -EAGAIN));
}

// The thread may not use io_uring from here on, as under a container's seccomp profile.
void forbid_io_uring() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = std::size(filter), .filter = filter};
  ASSERT_EQ(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_EQ(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

TEST(BlockEngines, WhereIoUringIsForbiddenThreadsRead) {
  const std::string path =
      std::filesystem::temp_directory_path() / ("skein-forbid-" + std::to_string(::getpid()));
  std::filesystem::remove(path);
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_EQ(::ftruncate(fd, 10 * kBlock), 0);
  ::close(fd);
  std::thread restricted([&] {
    forbid_io_uring();
    const auto best = real::open_block_reads(path, {});
    ASSERT_TRUE(best);
    EXPECT_TRUE((*best)->kind().starts_with("pread pool")) << (*best)->kind();
    const auto forced = real::open_block_reads(path, {.engine = BlockEngine::kUring});
    ASSERT_FALSE(forced);
    EXPECT_EQ(forced.error().code, Errc::kUnsupported);
    Memory memory(kBlock);
    const BlockRead read{0, memory.view(), 1};
    ASSERT_TRUE((*best)->submit({&read, 1}));
    take_all(**best, 1);
  });
  restricted.join();
  std::filesystem::remove(path);
}

TEST(BlockIo, IsNamedByWords) {
  EXPECT_EQ(parse_block_io(""), BlockIo{});
  EXPECT_EQ(parse_block_io("io_uring"), (BlockIo{BlockEngine::kUring, PageCacheUse::kBest}));
  EXPECT_EQ(parse_block_io("pread"), (BlockIo{BlockEngine::kPread, PageCacheUse::kBest}));
  EXPECT_EQ(parse_block_io("buffered"), (BlockIo{BlockEngine::kBest, PageCacheUse::kBuffered}));
  EXPECT_EQ(parse_block_io("direct,pread"), (BlockIo{BlockEngine::kPread, PageCacheUse::kDirect}));
  for (const char* wrong : {"mmap", "pread,io_uring", "direct,buffered", ",", "pread,,direct"}) {
    const auto refused = parse_block_io(wrong);
    ASSERT_FALSE(refused) << wrong;
    EXPECT_EQ(refused.error().code, Errc::kUsage);
  }
}

TEST(BlockEngines, AFileThatIsNotThereIsNotFound) {
  const auto absent = real::open_block_reads("/nowhere/at/all", {});
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, Errc::kNotFound);
}

}  // namespace
}  // namespace skein
