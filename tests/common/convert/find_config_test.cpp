#include <gtest/gtest.h>

#include "common/convert/convert.h"
#include "tests/common/convert/tiny_checkpoint.h"
#include "tests/support/shared_file.h"

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

TEST(FindConfig, TellsWhatIsNotRwkv7) {
  const auto of = [](std::vector<std::string> names) {
    Checkpoint checkpoint;
    for (std::string& name : names) checkpoint.tensors.push_back({.name = std::move(name)});
    return sentence(checkpoint);
  };
  const auto tells = [](const std::string& got, const char* what) {
    EXPECT_NE(got.find(what), std::string::npos) << got;
  };
  tells(of({"blocks.0.att.time_maa_x", "blocks.0.att.ln_x.weight"}), "an RWKV-6 model");
  tells(of({"blocks.0.att.gate.weight", "blocks.0.att.ln_x.weight"}), "an RWKV-5.2 model");
  tells(of({"blocks.0.att.ln_x.weight"}), "an RWKV-5.1 model");
  tells(of({"blocks.0.att.time_first"}), "an RWKV-4 model");
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

TEST(FindConfig, OlderRwkvCppFilesAreToldByVersion) {
  for (const auto& [file, version] :
       {std::pair{"4v0-660K-FP32", "RWKV-4"}, std::pair{"5v2-730K-FP32", "RWKV-5.2"}}) {
    const std::string path = std::string("models/rwkv.cpp-tiny/tiny-rwkv-") + file + ".bin";
    const auto bytes = read_shared(path);
    if (!bytes) GTEST_SKIP() << needs_shared(path);
    const auto read = read_checkpoint(*bytes, path);
    ASSERT_TRUE(read) << to_string(read.error());
    EXPECT_NE(sentence(*read).find(version), std::string::npos);
  }
}

}  // namespace
}  // namespace skein
