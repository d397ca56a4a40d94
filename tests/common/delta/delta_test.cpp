#include "common/delta/delta.h"

#include <gtest/gtest.h>

#include "common/artifact/artifact_file.h"
#include "tests/support/golden_model.h"
#include "tests/support/memory_disk.h"
#include "tests/support/run_task.h"
#include "tests/support/sample_artifact.h"

namespace skein {
namespace {

using test::changed_artifact;
using test::golden_artifact;
using test::golden_file;
using test::MemoryDisk;
using test::run_task;
using test::sample_artifact;

constexpr std::size_t kHeaderBytes = 80;

SigningKey some_key() {
  SigningKey key;
  key.seed.fill(std::byte{7});
  return key;
}

Patch patch_between(PageSource& base, PageSource& target,
                    const std::optional<SigningKey>& key = {}) {
  auto patch = make_patch(base, target, sign_manifest(target.manifest(), key));
  EXPECT_TRUE(patch) << to_string(patch.error());
  return std::move(*patch);
}

// Both ways to the same file: the target written at once, and the base with the patch applied.
void expect_same_file(PageSource& base, PageSource& target, const std::optional<SigningKey>& key) {
  MemoryDisk disk;
  const auto direct = run_task(write_artifact(disk, "direct", target, key));
  ASSERT_TRUE(direct) << to_string(direct.error());
  const Patch patch = patch_between(base, target, key);
  auto made = apply_patch(base, patch.bytes);
  ASSERT_TRUE(made) << to_string(made.error());
  SignedManifest manifest = (*made)->signed_manifest();
  const auto patched =
      run_task(write_signed_artifact(disk, "patched", **made, std::move(manifest)));
  ASSERT_TRUE(patched) << to_string(patched.error());
  EXPECT_EQ(*direct, *patched);
  EXPECT_EQ(disk.contents("direct"), disk.contents("patched"));
}

// The golden model in 8 bits, every weight moved a little as fine-tuning does.
std::unique_ptr<MemoryArtifact> golden_q8(float share_of_change) {
  const Buffer file = golden_file("tiny-64-f32.safetensors");
  Checkpoint checkpoint = *read_checkpoint(file, "golden");
  std::vector<Buffer> moved;
  moved.reserve(checkpoint.tensors.size());
  std::mt19937_64 random(5);
  std::normal_distribution<float> normal;
  for (CheckpointTensor& tensor : checkpoint.tensors) {
    Buffer& bytes = moved.emplace_back(to_buffer(tensor.data));
    for (std::size_t at = 0; share_of_change > 0 && at < bytes.size(); at += 4) {
      const auto value = load_le<float>(bytes, at);
      store_le(bytes, at, value * (1 + share_of_change * normal(random)));
    }
    tensor.data = bytes;
  }
  auto artifact = convert(checkpoint, {.precision = Precision::kQ8, .name = "tiny"});
  CHECK(artifact.has_value());
  return std::move(*artifact);
}

TEST(Delta, MakesTheTargetsFileBitForBit) {
  auto base = sample_artifact(1);
  auto target = changed_artifact(base, 2);
  expect_same_file(base, target, std::nullopt);
  expect_same_file(base, target, some_key());
  expect_same_file(target, base, some_key());
}

TEST(Delta, MakesUnrelatedArtifactsFromWholePages) {
  auto base = sample_artifact(3);
  const auto other = golden_artifact();
  expect_same_file(base, *other, some_key());
  expect_same_file(*other, base, some_key());
  const Patch patch = patch_between(base, *other);
  EXPECT_EQ(patch.stats.pages_changed, patch.stats.pages);
}

TEST(Delta, SaysNothingOfPagesThatAreTheSame) {
  const auto model = golden_artifact();
  const Patch patch = patch_between(*model, *model);
  const std::size_t manifest =
      encode_signed_manifest(sign_manifest(model->manifest(), std::nullopt)).size();
  EXPECT_EQ(patch.stats.pages_changed, 0U);
  EXPECT_EQ(patch.stats.pages, model->manifest().pages.size());
  EXPECT_EQ(patch.bytes.size(), kHeaderBytes + manifest + std::size_t{9} * patch.stats.pages);
  EXPECT_EQ(patch.stats.patch_bytes, patch.bytes.size());
  std::uint64_t bytes = 0;
  for (const PageEntry& page : model->manifest().pages) bytes += page.bytes;
  EXPECT_EQ(patch.stats.target_bytes, bytes);
}

TEST(Delta, AFineTunedModelCostsMuchLessThanItself) {
  const auto base = golden_q8(0);
  const auto tuned = golden_q8(0.003F);
  expect_same_file(*base, *tuned, std::nullopt);
  const Patch patch = patch_between(*base, *tuned);
  EXPECT_GT(patch.stats.pages_changed, 0U);
  EXPECT_LT(patch.stats.patch_bytes, patch.stats.target_bytes * 6 / 10);
}

TEST(Delta, RefusesAnotherBaseAsAConflict) {
  auto base = sample_artifact(1);
  auto target = changed_artifact(base, 2);
  const Patch patch = patch_between(base, target);
  auto stranger = sample_artifact(9);
  const auto made = apply_patch(stranger, patch.bytes, "v2.patch");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Errc::kConflict);
  EXPECT_EQ(made.error().where, "v2.patch");
  EXPECT_FALSE(made.error().remedy.empty());
}

TEST(Delta, RefusesABaseWhosePageIsDamaged) {
  auto base = sample_artifact(1);
  auto target = changed_artifact(base, 2);
  const Patch patch = patch_between(base, target);
  base.pages()[1][0] ^= std::byte{1};
  const auto made = apply_patch(base, patch.bytes);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Errc::kCorrupt);
}

}  // namespace
}  // namespace skein
