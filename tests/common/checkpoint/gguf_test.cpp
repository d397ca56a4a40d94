#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "common/checkpoint/checkpoint.h"
#include "tests/common/checkpoint/sample_gguf.h"

namespace skein {
namespace {

using Shape = std::vector<std::uint32_t>;

std::string sentence(const std::string& file) {
  const auto read = read_checkpoint(as_bytes(file), "m.gguf");
  return read ? "accepted" : to_string(read.error());
}

// Kept: a checkpoint views its file.
struct Opened {
  explicit Opened(const GgufParts& parts) : file(gguf_of(parts)) {
    auto read = read_checkpoint(as_bytes(file), "m.gguf");
    EXPECT_TRUE(read) << to_string(read.error());
    if (read) checkpoint = std::move(*read);
  }
  Opened(const Opened&) = delete;
  const CheckpointTensor& at(std::string_view name) const {
    const auto found = std::ranges::find(checkpoint.tensors, name, &CheckpointTensor::name);
    CHECK(found != checkpoint.tensors.end());
    return *found;
  }
  std::string file;
  Checkpoint checkpoint;
};

std::string letters(std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(static_cast<char>('a' + i % 26));
  return out;
}

TEST(Gguf, TensorsOfRwkv7GetTheirOfficialNamesAndShapes) {
  const Opened opened({.keys = gguf_keys(),
                       .tensors = {{"token_embd.weight", {4, 3}, 1, letters(24)},
                                   {"token_embd_norm.bias", {4}, 0, letters(16)},
                                   {"blk.1.attn_norm_2.weight", {4}, 0, letters(16)},
                                   {"blk.1.time_mix_w1.weight", {4, 2}, 0, letters(32)},
                                   {"blk.1.time_mix_a0.weight", {4}, 0, letters(16)},
                                   {"blk.1.time_mix_r_k.weight", {4}, 0, letters(16)},
                                   {"blk.1.channel_mix_value.weight", {6, 4}, 30, letters(48)}}});
  EXPECT_EQ(opened.checkpoint.kind, CheckpointKind::kGguf);
  EXPECT_EQ(name_of(opened.checkpoint.kind), "gguf");
  EXPECT_EQ(opened.at("emb.weight").shape, (Shape{3, 4}));
  EXPECT_EQ(opened.at("emb.weight").format, Format::kF16);
  EXPECT_EQ(opened.at("blocks.0.ln0.bias").shape, (Shape{4}));
  EXPECT_EQ(opened.at("blocks.1.ln2.weight").shape, (Shape{4}));
  EXPECT_EQ(opened.at("blocks.1.att.w1").shape, (Shape{4, 2}));
  EXPECT_TRUE(opened.at("blocks.1.att.w1").swapped);
  EXPECT_EQ(opened.at("blocks.1.att.a0").shape, (Shape{1, 1, 4}));
  EXPECT_EQ(opened.at("blocks.1.att.r_k").shape, (Shape{2, 2}));
  EXPECT_EQ(opened.at("blocks.1.ffn.value.weight").format, Format::kBf16);
  EXPECT_EQ(as_text(opened.at("blocks.1.ffn.value.weight").data), letters(48));
}

TEST(Gguf, JoinedMixesAreSplitInTheirOrder) {
  const Opened newest(
      {.keys = gguf_keys(),
       .tensors = {
           {"blk.0.time_mix_lerp_fused.weight", {1, 1, 1, 6}, 0, "rrrrwwwwkkkkvvvvaaaagggg"}}});
  EXPECT_EQ(as_text(newest.at("blocks.0.att.x_v").data), "vvvv");
  EXPECT_EQ(newest.at("blocks.0.att.x_g").shape, (Shape{1, 1, 1}));
  const Opened older(
      {.keys = gguf_keys("rwkv6"),
       .tensors = {{"blk.0.time_mix_lerp_fused.weight", {1, 1, 1, 5}, 0, "wwwwkkkkvvvvrrrrgggg"}}});
  EXPECT_EQ(as_text(older.at("blocks.0.att.time_maa_r").data), "rrrr");
  EXPECT_NE(
      sentence(
          gguf_of(
              {.keys = gguf_keys("rwkv6"),
               .tensors = {{"blk.0.time_mix_lerp_fused.weight", {1, 1, 1, 6}, 0, letters(24)}}}))
          .find("is not 5 vectors joined into one"),
      std::string::npos);
}

TEST(Gguf, TheFirstLayersMadeUpValueResidualIsLeftOut) {
  const Opened opened({.keys = gguf_keys(),
                       .tensors = {{"blk.0.time_mix_v0.weight", {4}, 0, letters(16)},
                                   {"blk.0.time_mix_v1.weight", {4, 2}, 0, letters(32)},
                                   {"blk.0.time_mix_value.weight", {4, 4}, 0, letters(64)},
                                   {"blk.1.time_mix_v0.weight", {4}, 0, letters(16)}}});
  ASSERT_EQ(opened.checkpoint.tensors.size(), 2U);
  EXPECT_EQ(opened.checkpoint.tensors[0].name, "blocks.0.att.value.weight");
  EXPECT_EQ(opened.checkpoint.tensors[1].name, "blocks.1.att.v0");
}

TEST(Gguf, Rwkv6sHalvedMatricesAreDoubledWhenRead) {
  auto keys = gguf_keys("rwkv6");
  keys.push_back(gguf_scalar<std::uint32_t>("rwkv6.rescale_every_n_layers", kGgufU32, 2));
  std::string ones;
  for (int i = 0; i < 4; ++i) put(ones, 0.75F);
  std::vector<GgufSample> tensors;
  for (const char* layer : {"1", "2", "5"}) {
    const std::string block = "blk." + std::string(layer) + ".";
    tensors.push_back({block + "time_mix_output.weight", {2, 2}, 0, ones});
    tensors.push_back({block + "time_mix_key.weight", {2, 2}, 0, ones});
  }
  const Opened opened({.keys = keys, .tensors = tensors});
  const auto first = [&](std::string_view name) {
    float value = 0;
    read_elements(opened.at(name), 3, std::span(&value, 1));
    return value;
  };
  EXPECT_EQ(first("blocks.1.att.output.weight"), 0.75F);
  EXPECT_EQ(first("blocks.2.att.output.weight"), 1.5F);
  EXPECT_EQ(first("blocks.5.att.output.weight"), 3.0F);
  EXPECT_EQ(first("blocks.5.att.key.weight"), 0.75F);
}

TEST(Gguf, BlocksStayPackedInTheFile) {
  const Opened opened({.version = 2,
                       .keys = gguf_keys(),
                       .tensors = {{"blk.0.time_mix_key.weight", {32, 2}, 8, letters(68)},
                                   {"blk.0.time_mix_value.weight", {256, 1}, 12, letters(144)}}});
  const CheckpointTensor& key = opened.at("blocks.0.att.key.weight");
  EXPECT_EQ(key.packing, Packing::kQ8_0);
  EXPECT_EQ(key.format, Format::kF32);
  EXPECT_EQ(key.shape, (Shape{2, 32}));
  EXPECT_EQ(as_text(key.data), letters(68));
  EXPECT_EQ(key.relaid, nullptr);
  EXPECT_TRUE(fits_its_shape(key));
  EXPECT_EQ(opened.at("blocks.0.att.value.weight").packing, Packing::kQ4K);
}

TEST(Gguf, TheAlignmentIsTheFilesOwn) {
  auto keys = gguf_keys();
  keys.push_back(gguf_scalar<std::uint32_t>("general.alignment", kGgufU32, 8));
  const Opened opened(
      {.alignment = 8,
       .keys = keys,
       .tensors = {{"output_norm.weight", {1}, 0, "1234"}, {"output_norm.bias", {1}, 0, "5678"}}});
  EXPECT_EQ(as_text(opened.at("ln_out.bias").data), "5678");
  for (const std::uint32_t wrong : {0U, 24U, 1U << 24}) {
    auto bad = gguf_keys();
    bad.push_back(gguf_scalar("general.alignment", kGgufU32, wrong));
    EXPECT_NE(sentence(gguf_of({.keys = bad})).find("the alignment is"), std::string::npos);
  }
}

// ---- vocabulary ----

std::vector<std::string> with_tokens(const std::vector<std::string>& tokens,
                                     const std::vector<std::int32_t>& types,
                                     std::string_view kind = "rwkv") {
  auto keys = gguf_keys();
  keys.push_back(gguf_string("tokenizer.ggml.model", kind));
  std::string texts;
  for (const std::string& token : tokens) texts += gguf_text(token);
  keys.push_back(gguf_array("tokenizer.ggml.tokens", kGgufText, tokens.size(), texts));
  std::string numbers;
  for (const std::int32_t type : types) put(numbers, type);
  keys.push_back(gguf_array("tokenizer.ggml.token_type", kGgufI32, types.size(), numbers));
  return keys;
}

const std::vector<GgufSample> kOneTensor = {{"output_norm.weight", {1}, 0, "1234"}};

TEST(Gguf, TheTokenizerBecomesAWorldVocabulary) {
  const Opened opened({.keys = with_tokens({"<s>", "\\x00", "\\n\\t\\r", "it's", "\\'\"", "\\\\x41",
                                            "\\xe9\\x9b", "[PAD7]", "<tool>"},
                                           {3, 1, 1, 1, 1, 1, 1, 5, 4}),
                       .tensors = kOneTensor});
  EXPECT_EQ(opened.checkpoint.vocabulary,
            "1 b'\\x00' 1\n2 b'\\x0a\\x09\\x0d' 3\n3 b'it\\x27s' 4\n4 b'\\x27\"' 2\n"
            "5 b'\\x5cx41' 4\n6 b'\\xe9\\x9b' 2\n8 b'<tool>' 6\n");
  const Opened other({.keys = with_tokens({"<s>", "a"}, {3, 1}, "gpt2"), .tensors = kOneTensor});
  EXPECT_EQ(other.checkpoint.vocabulary, "");
  EXPECT_EQ(Opened({.keys = gguf_keys(), .tensors = kOneTensor}).checkpoint.vocabulary, "");
}

TEST(Gguf, TokensThatCannotBeReadAreNamed) {
  for (const std::string& token : {std::string("\\x4"), std::string("\\xg0"), std::string("a\\"),
                                   std::string("\\x"), std::string(), std::string(1025, 'a')}) {
    const std::string said = sentence(
        gguf_of({.keys = with_tokens({"<s>", "a", token}, {3, 1, 1}), .tensors = kOneTensor}));
    EXPECT_NE(said.find("token 2 of the vocabulary cannot be read"), std::string::npos) << said;
  }
  const std::string said =
      sentence(gguf_of({.keys = with_tokens({"<s>", "a"}, {3}), .tensors = kOneTensor}));
  EXPECT_NE(said.find("there are 2 tokens but 1 token types"), std::string::npos) << said;
}

// ---- refusals ----

std::string with_key(std::string key, std::string_view architecture = "rwkv7") {
  auto keys = gguf_keys(architecture);
  keys.push_back(std::move(key));
  return sentence(gguf_of({.keys = keys, .tensors = kOneTensor}));
}

TEST(Gguf, RefusesOtherModelsWithASentence) {
  const auto architecture = [](std::string_view name) {
    return sentence(gguf_of({.keys = gguf_keys(name), .tensors = kOneTensor}));
  };
  EXPECT_EQ(
      architecture("llama"),
      "the model's architecture is \"llama\" (m.gguf, general.architecture): name a GGUF file "
      "of RWKV 6 or 7 (rwkv6, rwkv7)");
  EXPECT_NE(architecture("rwkv6qwen2").find("rwkv6qwen2"), std::string::npos);
  EXPECT_NE(sentence(gguf_of({.tensors = kOneTensor})).find("architecture is \"\""),
            std::string::npos);
  EXPECT_EQ(with_key(gguf_scalar<std::uint32_t>("split.count", kGgufU32, 3)),
            "this is one of the 3 files that a model was split into (m.gguf, split.count): join "
            "them with llama-gguf-split --merge");
  EXPECT_EQ(with_key(gguf_scalar<std::uint32_t>("split.count", kGgufU32, 1)), "accepted");
  EXPECT_NE(with_key(gguf_scalar<std::uint32_t>("rwkv7.block_count", kGgufU32, 2))
                .find("should have 2 layers, and there are tensors of 0"),
            std::string::npos);
  EXPECT_NE(with_key(gguf_scalar("rwkv7.attention.layer_norm_epsilon", kGgufF32, 1e-6F))
                .find("epsilon is 0.000001"),
            std::string::npos);
  EXPECT_EQ(with_key(gguf_scalar("rwkv7.attention.layer_norm_epsilon", kGgufF32, 1e-5F)),
            "accepted");
  EXPECT_NE(sentence(gguf_of({.keys = {gguf_string("general.architecture", "rwkv7")},
                              .tensors = kOneTensor}))
                .find("the head size is missing"),
            std::string::npos);
  const std::string absurd =
      sentence(gguf_of({.keys =
                            [] {
                              auto keys = gguf_keys("rwkv6");
                              keys.push_back(gguf_scalar<std::uint32_t>(
                                  "rwkv6.rescale_every_n_layers", kGgufU32, 1));
                              return keys;
                            }(),
                        .tensors = {{"blk.99.time_mix_output.weight", {1, 1}, 0, "1234"}}}));
  EXPECT_NE(absurd.find("would be halved 99 times"), std::string::npos) << absurd;
}

TEST(Gguf, RefusesOtherVersions) {
  EXPECT_NE(sentence(gguf_of({.version = 1})).find("GGUF version 1 is unknown"), std::string::npos);
  EXPECT_NE(sentence(gguf_of({.version = 4})).find("GGUF version 4 is unknown"), std::string::npos);
  EXPECT_NE(sentence(gguf_of({.version = 0x03000000})).find("big-endian"), std::string::npos);
  EXPECT_NE(sentence("GGUF\x03").find("header is cut short"), std::string::npos);
}

std::string with_tensor(const GgufSample& tensor) {
  return sentence(gguf_of({.keys = gguf_keys(), .tensors = {tensor}}));
}

TEST(Gguf, RefusesTensorsThatAreNotThere) {
  const std::string name = "output_norm.weight";
  EXPECT_EQ(with_tensor({name, {1}, 0, "1234"}), "accepted");
  EXPECT_NE(with_tensor({name, {9}, 0, "1234"}).find("larger than the rest"), std::string::npos);
  EXPECT_NE(with_tensor({name, {1, 0}, 0, "1234"}), "accepted");
  EXPECT_NE(with_tensor({name, {}, 0, "1234"}).find("makes no sense"), std::string::npos);
  EXPECT_NE(with_tensor({name, {1, 1, 1, 1, 1}, 0, "1234"}).find("makes no sense"),
            std::string::npos);
  EXPECT_NE(with_tensor({name, {1ULL << 40, 1ULL << 40}, 0, "1234"}), "accepted");
  EXPECT_NE(with_tensor({name, {1}, 0, "1234", 4}).find("is not aligned"), std::string::npos);
  EXPECT_NE(with_tensor({name, {1}, 0, "1234", 1ULL << 40}).find("outside the file"),
            std::string::npos);
  EXPECT_NE(with_tensor({name, {16}, 8, std::string(34, 'a')}).find("no whole blocks of Q8_0"),
            std::string::npos);
  EXPECT_NE(with_tensor({name, {1}, 10, "1234"}).find("ggml type 10, which Skein does not read"),
            std::string::npos);
  EXPECT_NE(with_tensor({name, {1}, 4, "1234"}).find("ggml type 4"), std::string::npos);
  EXPECT_EQ(with_tensor({"blk.0.attn_q.weight", {1}, 0, "1234"}),
            "tensor \"blk.0.attn_q.weight\" is none of llama.cpp's rwkv7 (m.gguf, names): use a "
            "plain RWKV model");
  EXPECT_NE(with_tensor({"blk.99999999999.attn_norm.weight", {1}, 0, "1234"}), "accepted");
  EXPECT_NE(with_tensor({"blk.0.time_mix_gate.weight", {1, 1}, 0, "1234"}), "accepted");  // of 6
}

TEST(Gguf, RefusesOverlapsAndTwins) {
  const GgufSample first{"output_norm.weight", {8}, 0, letters(32)};
  const GgufSample inside{"output_norm.bias", {8}, 0, letters(32), static_cast<std::uint64_t>(-32)};
  EXPECT_NE(
      sentence(gguf_of({.keys = gguf_keys(), .tensors = {first, inside}})).find("overlaps another"),
      std::string::npos);
  EXPECT_NE(sentence(gguf_of({.keys = gguf_keys(), .tensors = {first, first}}))
                .find("\"ln_out.weight\" is there twice"),
            std::string::npos);
  EXPECT_NE(with_key(gguf_string("general.architecture", "rwkv7"))
                .find("key \"general.architecture\" is there twice"),
            std::string::npos);
  EXPECT_NE(sentence(gguf_of({.keys = gguf_keys()})).find("there is no tensor"), std::string::npos);
}

TEST(Gguf, RefusesMetadataThatMakesNoSense) {
  EXPECT_NE(with_key(gguf_scalar<std::uint32_t>("k", 13, 1)).find("unknown type 13"),
            std::string::npos);
  EXPECT_NE(with_key(gguf_array("k", kGgufArray, 1, letters(40))).find("unknown type 9"),
            std::string::npos);
  EXPECT_NE(with_key(gguf_array("k", kGgufU32, ~0ULL, "1234")).find("\"k\" breaks off"),
            std::string::npos);
  EXPECT_NE(with_key(gguf_array("k", kGgufText, ~0ULL, gguf_text("a"))).find("breaks off"),
            std::string::npos);
  EXPECT_NE(with_key(gguf_scalar<std::uint64_t>("k", kGgufText, ~0ULL)).find("breaks off"),
            std::string::npos);
  EXPECT_NE(with_key(gguf_string("split.count", "two")).find("is not a whole number"),
            std::string::npos);
  EXPECT_NE(with_key(gguf_scalar<std::uint32_t>("tokenizer.ggml.model", kGgufU32, 1))
                .find("is not a text"),
            std::string::npos);
  EXPECT_NE(
      with_key(gguf_string("rwkv7.attention.layer_norm_epsilon", "small")).find("is not a number"),
      std::string::npos);
}

TEST(Gguf, RefusesCountsBeyondTheFile) {
  std::string file = gguf_of({.keys = gguf_keys(), .tensors = kOneTensor});
  for (const std::size_t at : {8U, 16U}) {
    for (const std::uint64_t claimed : {1000UL, 1UL << 40, ~0UL}) {
      std::string bad = file;
      std::memcpy(bad.data() + at, &claimed, sizeof claimed);
      EXPECT_NE(sentence(bad), "accepted") << at << " " << claimed;
    }
  }
}

TEST(Gguf, EveryCutIsRefused) {
  const std::string whole =
      gguf_of({.keys = with_tokens({"<s>", "a"}, {3, 1}),
               .tensors = {{"token_embd.weight", {32, 2}, 2, letters(36)}, kOneTensor.front()}});
  const std::size_t last_byte = whole.size() - 28;  // padding after it
  ASSERT_EQ(sentence(whole.substr(0, last_byte)), "accepted");
  for (std::size_t size = 0; size < last_byte; ++size) {
    EXPECT_NE(sentence(whole.substr(0, size)), "accepted") << size;
  }
}

}  // namespace
}  // namespace skein
