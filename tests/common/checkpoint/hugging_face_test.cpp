#include "common/checkpoint/internal/hugging_face.h"

#include <gtest/gtest.h>

#include "common/checkpoint/checkpoint.h"
#include "tests/common/checkpoint/sample_files.h"

namespace skein {
namespace {

using Shape = std::vector<std::uint32_t>;

SampleTensor bytes_of(const std::string& name, const Shape& shape) {
  std::size_t count = 2;
  for (const std::uint32_t size : shape) count *= size;
  std::string data;
  for (std::size_t i = 0; i < count; ++i) data.push_back(static_cast<char>('a' + i % 26));
  return {name, shape, Format::kBf16, data};
}

const SampleTensor kTellTale = bytes_of("model.layers.0.attn.r_k", {2, 2});

std::string sentence(const std::vector<SampleTensor>& tensors,
                     const std::string& name = "m.safetensors") {
  const std::string file = safetensors_of(tensors);
  const auto read = read_checkpoint(as_bytes(file), name);
  return read ? "accepted" : to_string(read.error());
}

TEST(HuggingFace, Rwkv7GetsItsOfficialNamesShapesAndDirections) {
  const std::string file = safetensors_of(
      {kTellTale, bytes_of("model.embeddings.weight", {3, 4}), bytes_of("lm_head.weight", {3, 4}),
       bytes_of("model.norm.bias", {4}), bytes_of("model.layers.0.pre_norm.weight", {4}),
       bytes_of("model.layers.12.attn_norm.bias", {4}),
       bytes_of("model.layers.1.ffn_norm.weight", {4}),
       bytes_of("model.layers.1.attn.x_g", {1, 1, 4}), bytes_of("model.layers.1.attn.k_k", {4}),
       bytes_of("model.layers.1.ffn.x_k", {4}), bytes_of("model.layers.1.attn.g_norm.weight", {4}),
       bytes_of("model.layers.1.attn.r_proj.weight", {4, 4}),
       bytes_of("model.layers.1.attn.w_lora.lora.0.weight", {2, 4}),
       bytes_of("model.layers.1.attn.v_lora.lora.2.weight", {4, 2}),
       bytes_of("model.layers.1.attn.a_lora.lora.2.bias", {4}),
       bytes_of("model.layers.1.ffn.value.weight", {4, 6})});
  const auto read = read_checkpoint(as_bytes(file), "m.safetensors");
  ASSERT_TRUE(read) << to_string(read.error());
  const std::vector<std::tuple<std::string, Shape, bool>> expected = {
      {"blocks.0.att.r_k", {2, 2}, false},      {"emb.weight", {3, 4}, false},
      {"head.weight", {3, 4}, false},           {"ln_out.bias", {4}, false},
      {"blocks.0.ln0.weight", {4}, false},      {"blocks.12.ln1.bias", {4}, false},
      {"blocks.1.ln2.weight", {4}, false},      {"blocks.1.att.x_g", {1, 1, 4}, false},
      {"blocks.1.att.k_k", {1, 1, 4}, false},   {"blocks.1.ffn.x_k", {1, 1, 4}, false},
      {"blocks.1.att.ln_x.weight", {4}, false}, {"blocks.1.att.receptance.weight", {4, 4}, false},
      {"blocks.1.att.w1", {4, 2}, true},        {"blocks.1.att.v2", {2, 4}, true},
      {"blocks.1.att.a0", {1, 1, 4}, false},    {"blocks.1.ffn.value.weight", {4, 6}, false},
  };
  ASSERT_EQ(read->tensors.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const CheckpointTensor& tensor = read->tensors[i];
    EXPECT_EQ(std::tuple(tensor.name, tensor.shape, tensor.swapped), expected[i]) << tensor.name;
  }
}

TEST(HuggingFace, MixesJoinedByOldVersionsAreSplit) {
  const std::string file = safetensors_of({kTellTale, bytes_of("model.layers.3.attn.x_x", {6, 1})});
  const auto read = read_checkpoint(as_bytes(file), "m");
  ASSERT_TRUE(read) << to_string(read.error());
  ASSERT_EQ(read->tensors.size(), 7U);
  EXPECT_EQ(read->tensors[2].name, "blocks.3.att.x_w");
  EXPECT_EQ(as_text(read->tensors[2].data), "cd");
}

TEST(HuggingFace, TensorsThatRwkv7DoesNotHaveAreNamed) {
  for (const char* name :
       {"model.layers.1.attn.q_proj.weight", "model.layers.1.attn.w_lora.lora.1.weight",
        "model.layers.1.attn.z_lora.lora.0.weight", "model.layers.1.attn.r_proj.scale",
        "model.layers.1.attn.", "model.layers..attn.x_r", "model.layers.1x.attn.x_r",
        "emb.weight"}) {
    EXPECT_NE(
        sentence({kTellTale, bytes_of(name, {1})}).find("is none of RWKV-7's on Hugging Face"),
        std::string::npos)
        << name;
  }
}

TEST(HuggingFace, OlderVersionsAreToldApart) {
  const auto said = [](const std::string& name) { return sentence({bytes_of(name, {1})}); };
  EXPECT_EQ(
      said("rwkv.blocks.0.attention.time_maa_x"),
      "this RWKV-6 model has Hugging Face's names for its tensors (m.safetensors, names): use "
      "the official .pth file of the same model");
  EXPECT_NE(said("model.layers.0.attn.x_proj.0.weight").find("RWKV-6"), std::string::npos);
  EXPECT_NE(said("rwkv.blocks.0.attention.ln_x.weight").find("RWKV-5"), std::string::npos);
  EXPECT_NE(said("rwkv.blocks.0.attention.time_first").find("RWKV-4"), std::string::npos);
}

TEST(HuggingFace, PartsOfAModelAreRefusedWithTheRemedy) {
  const std::string remedy = "save it as one file";
  EXPECT_NE(sentence({kTellTale}, "model-00001-of-00002.safetensors").find(remedy),
            std::string::npos);
  EXPECT_NE(sentence({kTellTale}, "/a-of-b/model-00002-of-00002.safetensors").find(remedy),
            std::string::npos);
  EXPECT_EQ(sentence({kTellTale}, "model-00001-of-00001.safetensors"), "accepted");
  EXPECT_EQ(sentence({kTellTale}, "pieces-of-00002/model.safetensors"), "accepted");
  const std::string index = "{\n \"metadata\": {\"total_size\": 1},\n \"weight_map\": {}}";
  const auto read = read_checkpoint(as_bytes(index), "model.safetensors.index.json");
  ASSERT_FALSE(read);
  EXPECT_NE(to_string(read.error()).find(remedy), std::string::npos);
}

}  // namespace
}  // namespace skein
