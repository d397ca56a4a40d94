#include "common/artifact/artifact_file.h"

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

constexpr const char* kPath = "model.skein";

std::unique_ptr<ArtifactFile> opened(MemoryDisk& disk) {
  auto file = open_artifact(disk, kPath);
  EXPECT_TRUE(file) << to_string(file.error());
  return std::move(*file);
}

std::string refusal_of(MemoryDisk& disk) {
  const auto file = open_artifact(disk, kPath);
  return file ? "accepted" : to_string(file.error());
}

TEST(ArtifactFile, GivesBackWhatWasWritten) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    MemoryDisk disk;
    SampleArtifact sample = sample_artifact(seed);
    const auto digest = run_task(write_artifact(disk, kPath, sample, SigningKey{}));
    ASSERT_TRUE(digest) << to_string(digest.error());

    const auto file = opened(disk);
    EXPECT_TRUE(file->manifest() == sample.manifest());
    EXPECT_EQ(file->digest(), *digest);
    for (std::uint32_t i = 0; i < sample.pages().size(); ++i) {
      const auto page = file->page(PageIndex(i));
      ASSERT_TRUE(page) << to_string(page.error());
      EXPECT_EQ(to_buffer(*page), sample.pages()[i]);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(page->data()) % 64, 0U);
    }
    EXPECT_TRUE(file->verify_all());
    EXPECT_TRUE(file->verify_signature(SigningKey{}.public_key()));
  }
}

TEST(ArtifactFile, IsTheSameBytesEveryTime) {
  MemoryDisk first, second;
  SampleArtifact sample = sample_artifact(3);
  ASSERT_TRUE(run_task(write_artifact(first, kPath, sample, SigningKey{})));
  ASSERT_TRUE(run_task(write_artifact(second, kPath, sample, SigningKey{})));
  EXPECT_EQ(first.contents(kPath), second.contents(kPath));
  EXPECT_TRUE(is_artifact(first.contents(kPath)));
  EXPECT_FALSE(is_artifact(as_bytes("SKEI")));
}

TEST(ArtifactFile, KeepsASignatureMadeElsewhere) {
  MemoryDisk disk;
  SampleArtifact sample = sample_artifact(3);
  const SignedManifest manifest = sign_manifest(sample.manifest(), SigningKey{});
  ASSERT_TRUE(run_task(write_signed_artifact(disk, kPath, sample, manifest)));
  EXPECT_TRUE(opened(disk)->signed_manifest() == manifest);

  SampleArtifact other = sample_artifact(4);
  const auto refused = run_task(write_signed_artifact(disk, kPath, other, manifest));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUsage);
}

TEST(ArtifactFile, AnUnsignedOneIsReadButNotTrusted) {
  MemoryDisk disk;
  SampleArtifact sample = sample_artifact(3);
  ASSERT_TRUE(run_task(write_artifact(disk, kPath, sample, std::nullopt)));
  const auto file = opened(disk);
  EXPECT_TRUE(file->verify_all());
  EXPECT_EQ(to_string(file->verify_signature(SigningKey{}.public_key()).error()),
            "manifest " + file->digest().short_hex() +
                " is not signed (model.skein): sign it with the fleet's key");
}

TEST(ArtifactFile, IsNotWrittenFromADamagedPage) {
  MemoryDisk disk;
  SampleArtifact sample = sample_artifact(3);
  const Digest digest = manifest_digest(encode_manifest(sample.manifest()));
  sample.pages()[1][0] ^= std::byte{1};
  const auto refused = run_task(write_artifact(disk, kPath, sample, std::nullopt));
  ASSERT_FALSE(refused);
  EXPECT_EQ(to_string(refused.error()), "page 1 of " + digest.short_hex() +
                                            " does not match its hash (the artifact to be "
                                            "written): fetch the artifact again");
  EXPECT_TRUE(disk.paths().empty());
}

TEST(ArtifactFile, ADamagedPageIsNamedAndTheOthersStillServe) {
  MemoryDisk disk;
  SampleArtifact sample = sample_artifact(3);
  ASSERT_TRUE(run_task(write_artifact(disk, kPath, sample, std::nullopt)));
  Buffer& bytes = disk.contents(kPath);
  const std::size_t offset = bytes.size() - sample.pages().back().size();
  bytes[offset] ^= std::byte{1};

  const auto file = opened(disk);
  const std::size_t last = sample.pages().size() - 1;
  const std::string sentence = "page " + std::to_string(last) + " of " +
                               file->digest().short_hex() +
                               " does not match its hash (model.skein, offset " +
                               std::to_string(offset) + "): fetch the artifact again";
  EXPECT_TRUE(file->page(PageIndex(0)));
  EXPECT_EQ(to_string(file->page(PageIndex(static_cast<std::uint32_t>(last))).error()), sentence);
  EXPECT_EQ(to_string(file->verify_all().error()), sentence);
  EXPECT_EQ(file->page(PageIndex(999)).error().code, Errc::kNotFound);
}

TEST(ArtifactFile, WhatOneProcessVerifiedTheNextNeedNot) {
  MemoryDisk disk;
  SampleArtifact sample = sample_artifact(3);
  ASSERT_TRUE(run_task(write_artifact(disk, kPath, sample, std::nullopt)));
  EXPECT_TRUE(opened(disk)->verified_pages().empty()) << "a file that cannot be told from others";
  disk.identify_files_as("boot 1, inode 2, written 3");
  // Given a record of all pages but the last,
  const auto last = static_cast<std::uint32_t>(sample.pages().size() - 1);
  Buffer record;
  {
    const auto file = opened(disk);
    for (std::uint32_t i = 0; i < last; ++i) ASSERT_TRUE(file->page(PageIndex(i)));
    record = file->verified_pages();
  }
  // when every page is damaged by somebody who leaves the file's identity alone,
  Buffer& bytes = disk.contents(kPath);
  std::size_t end = bytes.size();
  for (std::size_t i = sample.pages().size(); i-- > 0;) {
    end -= sample.pages()[i].size();
    bytes[end] ^= std::byte{1};
    end = end / 64 * 64;
  }
  // then those of the record pass and the last does not;
  const auto file = opened(disk);
  ASSERT_TRUE(file->take_verified(record));
  EXPECT_TRUE(file->page(PageIndex(0)));
  EXPECT_FALSE(file->page(PageIndex(last)));
  // and none passes with a damaged record or one of another file.
  for (std::size_t at = 0; at < record.size(); ++at) {
    Buffer damaged = record;
    damaged[at] ^= std::byte{1};
    EXPECT_FALSE(opened(disk)->take_verified(damaged)) << at;
  }
  EXPECT_FALSE(opened(disk)->take_verified(ByteView(record).first(record.size() - 1)));
  disk.identify_files_as("boot 1, inode 2, written 4");
  const auto written_since = opened(disk);
  EXPECT_FALSE(written_since->take_verified(record));
  EXPECT_FALSE(written_since->page(PageIndex(0)));
}

TEST(ArtifactFile, PartsOfAPageAreReadVerified) {
  MemoryDisk disk;
  SampleArtifact sample = sample_artifact(3);
  ASSERT_TRUE(run_task(write_artifact(disk, kPath, sample, std::nullopt)));
  const Buffer& page = sample.pages().back();
  const PageIndex index(static_cast<std::uint32_t>(sample.pages().size() - 1));
  Buffer part(page.size() - 1);
  ASSERT_TRUE(opened(disk)->read(index, 1, part));
  EXPECT_TRUE(std::ranges::equal(part, ByteView(page).subspan(1)));
  EXPECT_EQ(opened(disk)->read(index, 2, part).error().code, Errc::kCorrupt);
  disk.contents(kPath).back() ^= std::byte{1};
  EXPECT_FALSE(opened(disk)->read(index, 1, part));
}

TEST(ArtifactFile, NoFlippedBitGoesUnnoticed) {
  MemoryDisk disk;
  SampleArtifact sample = sample_artifact(5, 1);
  ASSERT_TRUE(run_task(write_artifact(disk, kPath, sample, SigningKey{})));
  const Buffer good = disk.contents(kPath);
  for (std::size_t at = 0; at < good.size(); ++at) {
    Buffer flipped = good;
    flipped[at] ^= std::byte{1} << (at % 8);
    disk.place(kPath, flipped);
    const auto file = open_artifact(disk, kPath);
    if (!file) continue;
    const bool sound =
        (*file)->verify_all() && (*file)->verify_signature(SigningKey{}.public_key());
    EXPECT_FALSE(sound) << at;
  }
}

TEST(ArtifactFile, NoTruncatedOrLengthenedFileOpens) {
  MemoryDisk disk;
  SampleArtifact sample = sample_artifact(5, 1);
  ASSERT_TRUE(run_task(write_artifact(disk, kPath, sample, SigningKey{})));
  const Buffer good = disk.contents(kPath);
  for (std::size_t size = 0; size < good.size(); ++size) {
    disk.place(kPath, Buffer(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)));
    EXPECT_NE(refusal_of(disk), "accepted") << size;
  }
  Buffer longer = good;
  longer.push_back(std::byte{0});
  disk.place(kPath, longer);
  EXPECT_EQ(refusal_of(disk), "the artifact should have " + std::to_string(good.size()) +
                                  " bytes and has " + std::to_string(good.size() + 1) +
                                  " (model.skein): fetch the artifact again");
}

TEST(ArtifactFile, AfterAPowerCutThereIsTheOldFileOrTheNew) {
  SampleArtifact old_sample = sample_artifact(1);
  SampleArtifact new_sample = changed_artifact(old_sample, 2);
  for (const auto cut :
       {MemoryDisk::Cut::kForgetsUnsynced, MemoryDisk::Cut::kKeepsNamesOfTornFiles}) {
    bool finished = false;
    for (std::uint64_t n = 0; !finished; ++n) {
      // Given an artifact, when its successor is written over it and the power fails at step n,
      MemoryDisk disk;
      ASSERT_TRUE(run_task(write_artifact(disk, kPath, old_sample, std::nullopt)));
      disk.fail_after(n);
      finished = run_task(write_artifact(disk, kPath, new_sample, std::nullopt)).has_value();
      disk.crash(cut);
      // then one of the two is there, whole; and the new one if its writing was reported done.
      const auto file = opened(disk);
      EXPECT_TRUE(file->verify_all());
      const bool is_new = file->manifest() == new_sample.manifest();
      EXPECT_TRUE(is_new || file->manifest() == old_sample.manifest()) << n;
      EXPECT_TRUE(is_new || !finished) << n;
    }
  }
}

}  // namespace
}  // namespace skein
