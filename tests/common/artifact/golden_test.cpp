// The committed files in tests/golden/artifact: what today's code writes, byte for byte, and what
// it says to files that are damaged. schemas/README.md walks through the good one.
#include <gtest/gtest.h>

#include <fstream>

#include "common/artifact/artifact_file.h"
#include "tests/support/memory_disk.h"
#include "tests/support/run_task.h"
#include "tests/support/sample_artifact.h"

namespace skein {
namespace {

using test::add_page;
using test::MemoryDisk;
using test::run_task;
using test::SampleArtifact;

SigningKey golden_key() {
  SigningKey key;
  key.seed.fill(std::byte{1});
  return key;
}

Buffer floats(std::initializer_list<float> values) {
  Buffer bytes;
  for (const float value : values) append_le(bytes, value);
  return bytes;
}

// Two vectors sharing a page, each at a multiple of 64, and a matrix of four rows in another.
SampleArtifact golden_artifact() {
  Manifest manifest;
  manifest.name = "golden";
  manifest.version = "v1";
  manifest.config = {Architecture::kRwkv7, 1, 8, 1, 8, 16, 4};
  std::vector<Buffer> pages;
  Buffer vectors = floats({1, 1, 1, 1, 1, 1, 1, 1});
  vectors.resize(64);
  append(vectors, floats({0, 0, 0, 0, 0, 0, 0, 0.5F}));
  Buffer matrix;
  for (int i = 0; i < 32; ++i) append_le(matrix, static_cast<float>(i) / 4);
  const std::uint32_t embedding = add_page(manifest, pages, matrix);
  const std::uint32_t small = add_page(manifest, pages, vectors);
  const auto vector = [&](const char* name, std::uint32_t offset) {
    manifest.tensors.push_back(
        {name, {8}, Format::kF32, Layout::kRows, false, 1, 8, {{small, offset, 0, 1}}});
  };
  manifest.tensors.push_back(
      {"emb.weight", {4, 8}, Format::kF32, Layout::kRows, false, 4, 8, {{embedding, 0, 0, 4}}});
  vector("blocks.0.ln0.weight", 0);
  vector("blocks.0.ln0.bias", 64);
  return {std::move(manifest), std::move(pages)};
}

Buffer golden_bytes(PageCoding coding = PageCoding::kPlain) {
  MemoryDisk disk;
  SampleArtifact artifact = golden_artifact();
  CHECK(run_task(write_artifact(disk, "a", artifact, golden_key(), coding)));
  return disk.contents("a");
}

Buffer stored(const std::string& name) {
  std::ifstream in(std::string(SKEIN_SOURCE_DIR "/tests/golden/artifact/") + name,
                   std::ios::binary);
  return to_buffer(std::string(std::istreambuf_iterator<char>(in), {}));
}

// Compares with the committed file; leaves what was wanted where it can be copied from.
void expect_stored(const std::string& name, const Buffer& wanted) {
  if (stored(name) == wanted) return;
  const std::string copy = testing::TempDir() + name;
  std::ofstream(copy, std::ios::binary)
      .write(as_text(wanted).data(), static_cast<std::streamsize>(wanted.size()));
  ADD_FAILURE() << name << " is not what is written today: see " << copy;
}

// Opens the file, checks every page and the signature: the first refusal.
std::string verdict_on(const std::string& name) {
  MemoryDisk disk;
  disk.place(name, stored(name));
  const auto file = open_artifact(disk, name);
  if (!file) return to_string(file.error());
  if (const auto pages = (*file)->verify_all(); !pages) return to_string(pages.error());
  const auto trusted = (*file)->verify_signature(golden_key().public_key());
  return trusted ? "sound" : to_string(trusted.error());
}

struct BadFile {
  const char* name;
  void (*damage)(Buffer& bytes);
  const char* sentence;
};

void flip(Buffer& bytes, std::size_t at) { bytes[at] ^= std::byte{1}; }

const BadFile kBadFiles[] = {
    {"truncated.skein", [](Buffer& b) { b.resize(700); },
     "the artifact should have 928 bytes and has 700 (truncated.skein): fetch the artifact again"},
    {"truncated_header.skein", [](Buffer& b) { b.resize(100); },
     "the artifact ends inside its header, after 100 bytes (truncated_header.skein): fetch the "
     "artifact again"},
    {"not_an_artifact.skein", [](Buffer& b) { flip(b, 0); },
     "this is not a Skein artifact (not_an_artifact.skein): make one with `skein import`"},
    {"newer_version.skein", [](Buffer& b) { b[6] = std::byte{3}; },
     "the artifact's file has version 3, not 1 or 2 (newer_version.skein): use a newer Skein"},
    {"flipped_page_byte.skein", [](Buffer& b) { flip(b, b.size() - 1); },
     "page 1 of dcea53ab911f does not match its hash (flipped_page_byte.skein, offset 832): fetch "
     "the artifact again"},
    {"flipped_manifest_byte.skein", [](Buffer& b) { flip(b, 128 + 8); },
     "the manifest is not in canonical form (flipped_manifest_byte.skein, manifest): fetch the "
     "artifact again"},
    {"flipped_digest.skein", [](Buffer& b) { flip(b, 570); },
     "page 0 of 039988abd8cf does not match its hash (flipped_digest.skein, offset 704): fetch the "
     "artifact again"},
    {"bad_signature.skein", [](Buffer& b) { flip(b, 64); },
     "manifest dcea53ab911f does not match its signature (bad_signature.skein): fetch the artifact "
     "again"},
    {"other_signer.skein", [](Buffer& b) { flip(b, 32); },
     "manifest dcea53ab911f is signed by another key (other_signer.skein): trust that key, or sign "
     "it with the fleet's key"},
    {"stripped_signature.skein", [](Buffer& b) { std::fill_n(b.begin() + 32, 96, std::byte{0}); },
     "the artifact's header contradicts itself about the signature (stripped_signature.skein): "
     "fetch the artifact again"},
    {"absurd_manifest_length.skein", [](Buffer& b) { store_le(b, 16, ~0ULL); },
     "the artifact's manifest cannot have 18446744073709551615 bytes "
     "(absurd_manifest_length.skein): fetch the artifact again"},
    {"absurd_file_length.skein", [](Buffer& b) { store_le(b, 24, ~0ULL); },
     "the artifact should have 18446744073709551615 bytes and has 928 (absurd_file_length.skein): "
     "fetch the artifact again"},
    {"absurd_page_count.skein", [](Buffer& b) { store_le(b, 12, ~0U); },
     "the header counts 4294967295 pages, the manifest 2 (absurd_page_count.skein, offset 12): "
     "fetch the artifact again"},
    {"absurd_pointer.skein", [](Buffer& b) { store_le(b, 128, 0xffff'ffff'7fff'fffcULL); },
     "the manifest is not a Cap'n Proto message (absurd_pointer.skein, manifest): fetch the "
     "artifact again"},
};

const BadFile kBadCodedFiles[] = {
    {"coded_flipped_page_byte.skein", [](Buffer& b) { flip(b, b.size() - 1); },
     "page 1 of dcea53ab911f does not match its hash (coded_flipped_page_byte.skein, offset 832): "
     "fetch the artifact again"},
    {"coded_absurd_page_size.skein", [](Buffer& b) { store_le(b, 648, ~0U); },
     "page 0 of 128 bytes cannot be coded in 4294967295 (coded_absurd_page_size.skein): fetch the "
     "artifact again"},
    {"coded_truncated_sizes.skein",
     [](Buffer& b) {
       b.resize(650);
       store_le(b, 24, std::uint64_t{650});
     },
     "the artifact ends inside the sizes of its coded pages (coded_truncated_sizes.skein): fetch "
     "the artifact again"},
    {"coded_said_to_be_plain.skein", [](Buffer& b) { b[6] = std::byte{1}; },
     "the pages end at byte 928, the file at 929 (coded_said_to_be_plain.skein, offset 929): fetch "
     "the artifact again"},
};

// It holds a zstd frame: another zstd may write other bytes, and has to read these.
TEST(GoldenArtifact, CodedReadsAsTheGoodOneDoes) {
  EXPECT_EQ(verdict_on("coded.skein"), "sound");
  MemoryDisk disk;
  disk.place("coded", stored("coded.skein"));
  disk.place("today", golden_bytes(PageCoding::kCoded));
  for (const char* name : {"coded", "today"}) {
    const auto file = open_artifact(disk, name);
    ASSERT_TRUE(file) << name;
    EXPECT_EQ((*file)->coding(), PageCoding::kCoded) << name;
    EXPECT_TRUE(run_task(write_signed_artifact(disk, "plain", **file, (*file)->signed_manifest())));
    EXPECT_EQ(disk.contents("plain"), stored("good.skein")) << name;
  }
}

TEST(GoldenArtifact, DamagedCodedFilesAreTheGoodOneWithOneThingChangedAndHaveTheirSentence) {
  for (const BadFile& bad : kBadCodedFiles) {
    Buffer bytes = stored("coded.skein");
    bad.damage(bytes);
    expect_stored(bad.name, bytes);
    EXPECT_EQ(verdict_on(bad.name), bad.sentence);
  }
}

TEST(GoldenArtifact, IsWhatIsWrittenToday) {
  expect_stored("good.skein", golden_bytes());
  EXPECT_EQ(verdict_on("good.skein"), "sound");
}

TEST(GoldenArtifact, DamagedFilesAreTheGoodOneWithOneThingChanged) {
  for (const BadFile& bad : kBadFiles) {
    Buffer bytes = golden_bytes();
    bad.damage(bytes);
    expect_stored(bad.name, bytes);
  }
}

TEST(GoldenArtifact, EachDamageHasItsSentence) {
  for (const BadFile& bad : kBadFiles) EXPECT_EQ(verdict_on(bad.name), bad.sentence);
}

}  // namespace
}  // namespace skein
