#include <gtest/gtest.h>

#include "common/convert/convert.h"
#include "tests/common/convert/tiny_checkpoint.h"
#include "tests/support/golden_model.h"

namespace skein {
namespace {

using test::TinyCheckpoint;

std::string sentence(const Checkpoint& checkpoint) {
  const auto found = find_config(checkpoint);
  return found ? "found" : to_string(found.error());
}

TEST(FindConfig, FindsTheShapesInTheTensors) {
  const TinyCheckpoint tiny({});
  const auto found = find_config(tiny.checkpoint);
  ASSERT_TRUE(found) << to_string(found.error());
  EXPECT_EQ(
      *found,
      (ModelConfig{
          .layers = 2, .width = 48, .heads = 3, .head_size = 16, .ffn_width = 100, .vocab = 77}));
}

TEST(FindConfig, TakesVectorsOfAnyRankAndAFlattenedBonus) {
  TinyCheckpoint tiny({.heads = 2, .head_size = 64});
  tiny.at("blocks.0.att.x_r").shape = {128};
  tiny.at("blocks.0.ln1.weight").shape = {1, 128};
  tiny.at("blocks.0.att.r_k").shape = {128};
  EXPECT_EQ(find_config(tiny.checkpoint)->heads, 2U);
  tiny.at("blocks.0.att.r_k").shape = {1, 1, 128};
  EXPECT_EQ(find_config(tiny.checkpoint)->head_size, 64U);
}

TEST(FindConfig, LayerZeroMayLackTheValueResidual) {
  TinyCheckpoint tiny({});
  for (const char* name : {"v0", "v1", "v2"}) tiny.drop(std::string("blocks.0.att.") + name);
  EXPECT_EQ(sentence(tiny.checkpoint), "found");
  tiny.drop("blocks.1.att.v1");
  EXPECT_EQ(sentence(tiny.checkpoint),
            "a tensor that RWKV-7 needs is missing (blocks.1.att.v1): the checkpoint is incomplete "
            "or damaged; copy it again");
}

TEST(FindConfig, EveryTensorIsNeeded) {
  const TinyCheckpoint whole({.layers = 1});
  for (std::size_t i = 0; i < whole.checkpoint.tensors.size(); ++i) {
    Checkpoint cut = whole.checkpoint;
    const std::string name = cut.tensors[i].name;
    cut.tensors.erase(cut.tensors.begin() + static_cast<std::ptrdiff_t>(i));
    const bool optional = name.starts_with("blocks.0.att.v") && !name.ends_with(".weight");
    EXPECT_EQ(find_config(cut).has_value(), optional) << name;
  }
}

TEST(FindConfig, EveryShapeIsChecked) {
  const TinyCheckpoint whole({.layers = 1});
  for (std::size_t i = 0; i < whole.checkpoint.tensors.size(); ++i) {
    Checkpoint bent = whole.checkpoint;
    bent.tensors[i].shape.back() += 1;
    EXPECT_FALSE(find_config(bent)) << bent.tensors[i].name;
  }
}

TEST(FindConfig, NamesTheTensorAndTheShapeItExpected) {
  TinyCheckpoint tiny({});
  tiny.at("blocks.1.att.key.weight").shape = {24, 96};
  EXPECT_EQ(sentence(tiny.checkpoint),
            "a tensor's shape is (24, 96), not (48, 48) (blocks.1.att.key.weight): the checkpoint "
            "is incomplete or damaged; copy it again");
}

TEST(FindConfig, TellsWhatIsNotRwkv) {
  const auto of = [](std::vector<std::string> names) {
    Checkpoint checkpoint;
    for (std::string& name : names) checkpoint.tensors.push_back({.name = std::move(name)});
    return sentence(checkpoint);
  };
  const auto tells = [](const std::string& got, const char* what) {
    EXPECT_NE(got.find(what), std::string::npos) << got;
  };
  tells(of({"model.embeddings.weight"}), "Hugging Face's names");
  tells(of({"lm_head.weight"}), "not an RWKV model");
}

TEST(FindConfig, RefusesVariantsWhoseArithmeticDiffers) {
  TinyCheckpoint tiny({});
  tiny.add("blocks.0.ffn.s_emb.weight", {77, 48});
  EXPECT_NE(sentence(tiny.checkpoint).find("DeepEmbed"), std::string::npos);
}

TEST(FindConfig, RefusesAbsurdLayerNumbers) {
  TinyCheckpoint tiny({});
  tiny.add("blocks.4000000000.att.w0", {48});
  EXPECT_NE(sentence(tiny.checkpoint).find("more than 256 layers"), std::string::npos);
}

Checkpoint golden(const std::string& version, const Buffer& file) {
  auto read = read_checkpoint(file, version);
  EXPECT_TRUE(read) << to_string(read.error());
  return std::move(*read);
}

TEST(FindConfig, TellsTheOlderVersionsByTheirTensors) {
  const auto expect = [](const char* version, Architecture architecture, std::uint32_t heads) {
    ModelConfig expected = {architecture, 2, 64, heads, 0, 160, 60};
    if (heads != 0) expected.head_size = 64 / heads;
    for (const char* kind : {".safetensors", ".bin"}) {
      const Buffer file = test::golden_file(std::string("tiny-v") + version + kind);
      const auto found = find_config(golden(version, file));
      ASSERT_TRUE(found) << to_string(found.error());
      EXPECT_EQ(*found, expected) << version << kind;
    }
  };
  expect("4", Architecture::kRwkv4, 0);
  expect("5.1", Architecture::kRwkv5_1, 2);
  expect("5.2", Architecture::kRwkv5_2, 2);
  expect("6", Architecture::kRwkv6, 2);
}

TEST(FindConfig, EveryTensorOfTheOlderVersionsIsNeededAndFits) {
  for (const std::string version : {"4", "5.1", "5.2", "6"}) {
    const Buffer file = test::golden_file("tiny-v" + version + ".safetensors");
    const Checkpoint whole = golden(version, file);
    for (std::size_t i = 0; i < whole.tensors.size(); ++i) {
      Checkpoint cut = whole;
      cut.tensors.erase(cut.tensors.begin() + static_cast<std::ptrdiff_t>(i));
      EXPECT_FALSE(find_config(cut)) << version << " " << whole.tensors[i].name;
      Checkpoint bent = whole;
      bent.tensors[i].shape.back() += 1;
      EXPECT_FALSE(find_config(bent)) << version << " " << whole.tensors[i].name;
    }
  }
}

TEST(FindConfig, AGateOfTheFirstRwkv5ComesWhole) {
  const Buffer file = test::golden_file("tiny-v5.1.safetensors");
  Checkpoint checkpoint = golden("5.1", file);
  for (std::uint32_t layer = 0; layer < 2; ++layer) {
    const std::string block = "blocks." + std::to_string(layer) + ".att.";
    checkpoint.tensors.push_back({.name = block + "gate.weight", .shape = {64, 64}});
    EXPECT_NE(sentence(checkpoint).find(block + "time_mix_g"), std::string::npos);
    checkpoint.tensors.push_back({.name = block + "time_mix_g", .shape = {1, 1, 64}});
  }
  EXPECT_EQ(sentence(checkpoint), "found");
}

}  // namespace
}  // namespace skein
