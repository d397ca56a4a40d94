#include <gtest/gtest.h>

#include <algorithm>

#include "common/convert/convert.h"
#include "tests/common/convert/tiny_checkpoint.h"

namespace skein {
namespace {

using test::checkpoint_bytes;
using test::TinyCheckpoint;

const Digest kParent = *Digest::from_hex(std::string(64, 'a'));

struct Given {
  TinyCheckpoint tiny{{.format = Format::kBf16}};
  std::unique_ptr<MemoryArtifact> base =
      std::move(*convert(tiny.checkpoint, {.name = "n", .version = "v1"}));
};

CheckpointTensor state_tensor(std::uint32_t layer, const std::vector<float>& values) {
  return {.name = "blocks." + std::to_string(layer) + ".att.time_state",
          .shape = {3, 16, 16},
          .format = Format::kF32,
          .data = std::as_bytes(std::span(values))};
}

TEST(WithTensors, AddsTensorsAndKeepsEveryOtherPage) {
  Given given;
  const std::vector<float> values(3 * 16 * 16, 0.25F);
  const std::vector<CheckpointTensor> states = {state_tensor(0, values), state_tensor(1, values)};

  const auto made = with_tensors(*given.base, states, "v2", "state-tuning", kParent);

  ASSERT_TRUE(made) << to_string(made.error());
  const Manifest& manifest = (*made)->manifest();
  EXPECT_EQ(manifest.name, "n");
  EXPECT_EQ(manifest.version, "v2");
  EXPECT_EQ(manifest.parent, kParent);
  EXPECT_EQ(manifest.techniques, std::vector<std::string>{"state-tuning"});
  EXPECT_TRUE(decode_manifest(encode_manifest(manifest)));
  const Manifest& base = given.base->manifest();
  EXPECT_TRUE(std::equal(base.pages.begin(), base.pages.end(), manifest.pages.begin()));
  EXPECT_EQ(manifest.pages.size(), base.pages.size() + 1);  // the two states are equal
  const TensorEntry* entry = find_tensor(manifest, "blocks.1.att.time_state");
  ASSERT_NE(entry, nullptr);
  EXPECT_TRUE(std::ranges::equal(checkpoint_bytes(**made, *entry), states[1].data));
}

TEST(WithTensors, ReplacesATensorAndDropsThePageOnlyItUsed) {
  Given given;
  const std::vector<float> first(3 * 16 * 16, 0.25F);
  const std::vector<float> second(3 * 16 * 16, -1.5F);
  const std::vector<CheckpointTensor> before = {state_tensor(0, first)};
  const std::vector<CheckpointTensor> after = {state_tensor(0, second)};
  const auto v2 = with_tensors(*given.base, before, "v2", "state-tuning", kParent);
  ASSERT_TRUE(v2);

  const auto v3 = with_tensors(**v2, after, "v3", "state-tuning", kParent);

  ASSERT_TRUE(v3) << to_string(v3.error());
  EXPECT_EQ((*v3)->manifest().pages.size(), (*v2)->manifest().pages.size());
  EXPECT_EQ((*v3)->manifest().techniques.size(), 1U);
  const TensorEntry* entry = find_tensor((*v3)->manifest(), "blocks.0.att.time_state");
  EXPECT_TRUE(std::ranges::equal(checkpoint_bytes(**v3, *entry), after[0].data));
}

TEST(WithTensors, ReplacingOneOfSeveralInAPageLeavesTheOthersAlone) {
  Given given;
  const std::vector<float> zeros(48, 0.0F);
  const std::vector<CheckpointTensor> changed = {{.name = "blocks.0.ln1.weight",
                                                  .shape = {48},
                                                  .format = Format::kF32,
                                                  .data = std::as_bytes(std::span(zeros))}};
  const auto made = with_tensors(*given.base, changed, "v2", "", kParent);
  ASSERT_TRUE(made) << to_string(made.error());
  for (const CheckpointTensor& tensor : given.tiny.checkpoint.tensors) {
    const ByteView want = tensor.name == changed[0].name ? changed[0].data : tensor.data;
    const TensorEntry* entry = find_tensor((*made)->manifest(), tensor.name);
    ASSERT_NE(entry, nullptr) << tensor.name;
    EXPECT_TRUE(std::ranges::equal(checkpoint_bytes(**made, *entry), want)) << tensor.name;
  }
}

TEST(WithTensors, RefusesAnotherShape) {
  Given given;
  const std::vector<float> values(24, 0.0F);
  const std::vector<CheckpointTensor> wrong = {{.name = "blocks.0.ln1.weight",
                                                .shape = {24},
                                                .format = Format::kF32,
                                                .data = std::as_bytes(std::span(values))}};
  const auto refused = with_tensors(*given.base, wrong, "v2", "", kParent);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().where, "blocks.0.ln1.weight");
}

}  // namespace
}  // namespace skein
