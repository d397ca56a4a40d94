// Files whose pages are coded: the same artifact in fewer bytes.
#include <gtest/gtest.h>

#include "common/artifact/artifact_file.h"
#include "tests/support/memory_disk.h"
#include "tests/support/memory_pages.h"
#include "tests/support/run_task.h"
#include "tests/support/sample_artifact.h"

namespace skein {
namespace {

using test::MemoryDisk;
using test::run_task;
using test::sample_artifact;
using test::SampleArtifact;

constexpr const char* kPath = "model.skein";

void write_coded(MemoryDisk& disk, PageSource& source) {
  const auto written =
      run_task(write_artifact(disk, kPath, source, SigningKey{}, PageCoding::kCoded));
  ASSERT_TRUE(written) << to_string(written.error());
}

std::unique_ptr<ArtifactFile> opened(MemoryDisk& disk) {
  auto file = open_artifact(disk, kPath);
  EXPECT_TRUE(file) << to_string(file.error());
  return std::move(*file);
}

// Matrices that compress, as pages of a valid artifact.
SampleArtifact model_artifact(Format format) {
  test::MemoryPages model = test::random_model(format, test::small_config());
  Manifest manifest = model.manifest();
  std::vector<Buffer> pages;
  for (std::uint32_t i = 0; i < manifest.pages.size(); ++i) {
    pages.push_back(to_buffer(*model.page(PageIndex(i))));
    manifest.pages[i].digest = sha256(pages.back());
  }
  return {std::move(manifest), std::move(pages)};
}

TEST(CodedFile, HoldsTheSameArtifactInFewerBytes) {
  for (const Format format : {Format::kQ8, Format::kQ6, Format::kQ5, Format::kQ4, Format::kBf16}) {
    SampleArtifact model = model_artifact(format);
    MemoryDisk plain;
    const auto digest = run_task(write_artifact(plain, kPath, model, SigningKey{}));
    MemoryDisk disk;
    write_coded(disk, model);
    EXPECT_LT(disk.contents(kPath).size(), plain.contents(kPath).size());

    const auto file = opened(disk);
    EXPECT_EQ(file->coding(), PageCoding::kCoded);
    EXPECT_EQ(file->digest(), digest.value());
    EXPECT_TRUE(file->manifest() == model.manifest());
    for (std::uint32_t i = 0; i < model.pages().size(); ++i) {
      const auto page = file->page(PageIndex(i));
      ASSERT_TRUE(page) << to_string(page.error());
      EXPECT_EQ(to_buffer(*page), model.pages()[i]);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(page->data()) % 64, 0U);
      EXPECT_EQ(file->page(PageIndex(i))->data(), page->data()) << "decoded once";
    }
    EXPECT_TRUE(file->verify_all());
    EXPECT_TRUE(file->verify_signature(SigningKey{}.public_key()));
  }
}

TEST(CodedFile, PagesThatDoNotShrinkComeBackToo) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    MemoryDisk disk;
    SampleArtifact sample = sample_artifact(seed);
    write_coded(disk, sample);
    const auto file = opened(disk);
    EXPECT_TRUE(file->verify_all());
    for (std::uint32_t i = 0; i < sample.pages().size(); ++i) {
      EXPECT_LE(file->stored_size(PageIndex(i)), sample.pages()[i].size() + 1);
      EXPECT_EQ(to_buffer(file->page(PageIndex(i)).value()), sample.pages()[i]);
    }
    EXPECT_EQ(file->page(PageIndex(999)).error().code, Errc::kNotFound);
  }
}

TEST(CodedFile, WrittenPlainAgainIsThePlainFile) {
  SampleArtifact model = model_artifact(Format::kQ4);
  MemoryDisk plain;
  ASSERT_TRUE(run_task(write_artifact(plain, kPath, model, SigningKey{})));
  MemoryDisk coded;
  write_coded(coded, model);
  MemoryDisk again;
  const auto file = opened(coded);
  const SignedManifest manifest = file->signed_manifest();
  ASSERT_TRUE(run_task(write_signed_artifact(again, kPath, *file, manifest)));
  EXPECT_EQ(again.contents(kPath), plain.contents(kPath));
  MemoryDisk twice;
  ASSERT_TRUE(run_task(write_signed_artifact(twice, kPath, *file, manifest, PageCoding::kCoded)));
  EXPECT_EQ(twice.contents(kPath), coded.contents(kPath));
}

TEST(CodedFile, PartsOfAPageAreRead) {
  MemoryDisk disk;
  SampleArtifact model = model_artifact(Format::kQ5);
  write_coded(disk, model);
  const auto file = opened(disk);
  for (int round = 0; round < 2; ++round) {
    for (std::uint32_t i = 0; i < model.pages().size(); ++i) {
      const Buffer& page = model.pages()[i];
      Buffer part(page.size() - 1);
      ASSERT_TRUE(file->read(PageIndex(i), 1, part));
      EXPECT_TRUE(std::ranges::equal(part, ByteView(page).subspan(1)));
      EXPECT_EQ(file->read(PageIndex(i), 2, part).error().code, Errc::kCorrupt);
    }
  }
  Buffer part(1);
  EXPECT_EQ(file->read(PageIndex(999), 0, part).error().code, Errc::kNotFound);
}

TEST(CodedFile, WhatOneProcessVerifiedTheNextNeedNot) {
  MemoryDisk disk;
  SampleArtifact model = model_artifact(Format::kQ8);
  write_coded(disk, model);
  disk.identify_files_as("boot 1, inode 2, written 3");
  const auto first = opened(disk);
  ASSERT_TRUE(first->page(PageIndex(2)));
  const auto second = opened(disk);
  ASSERT_TRUE(second->take_verified(first->verified_pages()));
  EXPECT_EQ(second->verified_pages(), first->verified_pages());
  EXPECT_EQ(to_buffer(second->page(PageIndex(2)).value()), model.pages()[2]);
}

// A flipped bit may mean the same page; it never makes another one pass.
TEST(CodedFile, NoFlippedBitMakesAnotherArtifact) {
  MemoryDisk disk;
  SampleArtifact sample = sample_artifact(5, 1);
  write_coded(disk, sample);
  const Buffer good = disk.contents(kPath);
  for (std::size_t at = 0; at < good.size(); ++at) {
    Buffer flipped = good;
    flipped[at] ^= std::byte{1} << (at % 8);
    disk.place(kPath, flipped);
    const auto file = open_artifact(disk, kPath);
    if (!file || !(*file)->verify_all()) continue;
    if (!(*file)->verify_signature(SigningKey{}.public_key())) continue;
    for (std::uint32_t i = 0; i < sample.pages().size(); ++i) {
      EXPECT_EQ(to_buffer((*file)->page(PageIndex(i)).value()), sample.pages()[i]) << at;
    }
  }
}

TEST(CodedFile, NoTruncatedOrLengthenedFileOpens) {
  MemoryDisk disk;
  SampleArtifact sample = sample_artifact(5, 1);
  write_coded(disk, sample);
  const Buffer good = disk.contents(kPath);
  for (std::size_t size = 0; size < good.size(); ++size) {
    disk.place(kPath, Buffer(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)));
    EXPECT_FALSE(open_artifact(disk, kPath)) << size;
  }
  Buffer longer = good;
  longer.push_back(std::byte{0});
  disk.place(kPath, longer);
  EXPECT_FALSE(open_artifact(disk, kPath));
}

TEST(CodedFile, ThereIsTheOldFileOrTheNewOneAfterAnyFailure) {
  SampleArtifact sample = sample_artifact(3);
  for (std::uint64_t n = 0;; ++n) {
    MemoryDisk disk;
    SampleArtifact old = sample_artifact(9);
    ASSERT_TRUE(run_task(write_artifact(disk, kPath, old, std::nullopt)));
    disk.fail_after(n);
    const auto written =
        run_task(write_artifact(disk, kPath, sample, std::nullopt, PageCoding::kCoded));
    disk.crash(MemoryDisk::Cut::kKeepsNamesOfTornFiles);
    const auto file = opened(disk);
    EXPECT_TRUE(file->verify_all());
    const bool is_new = file->manifest() == sample.manifest();
    EXPECT_TRUE(is_new || file->manifest() == old.manifest());
    if (written) {
      EXPECT_TRUE(is_new);
      break;
    }
  }
}

}  // namespace
}  // namespace skein
