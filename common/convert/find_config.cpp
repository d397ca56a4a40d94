// Architecture and shapes from the tensors alone: the names tell the version, the embedding, the
// bonus r_k and the first channel-mix give the sizes, and then every tensor must be there and fit.
#include <algorithm>
#include <unordered_map>

#include "common/convert/convert.h"
#include "common/convert/internal/parts.h"

namespace skein {
namespace {

using internal::layer_name;
using internal::Part;
using internal::Presence;
using internal::Role;
using Shape = std::vector<std::uint32_t>;
using ByName = std::unordered_map<std::string_view, const CheckpointTensor*>;

constexpr const char* kIncomplete = "the checkpoint is incomplete or damaged; copy it again";
constexpr std::uint32_t kReleasedHeadSize = 64;

std::string to_text(const Shape& shape) {
  std::string out;
  for (const std::uint32_t dimension : shape) {
    out += (out.empty() ? "(" : ", ") + std::to_string(dimension);
  }
  return out + ")";
}

tl::unexpected<Error> misfit(const CheckpointTensor& tensor, const std::string& expected) {
  return fail(Errc::kCorrupt, "a tensor's shape is " + to_text(tensor.shape) + ", not " + expected,
              tensor.name, kIncomplete);
}

// What the names say about a checkpoint that is not RWKV-7.
tl::unexpected<Error> refuse_others(const ByName& tensors) {
  const auto has = [&](std::string_view name) { return tensors.contains(name); };
  std::string version;
  if (has("blocks.0.att.time_maa_x") || has("blocks.0.att.time_maa_w1")) {
    version = "RWKV-6";
  } else if (has("blocks.0.att.gate.weight")) {
    version = "RWKV-5.2";
  } else if (has("blocks.0.att.ln_x.weight")) {
    version = "RWKV-5.1";
  } else if (has("blocks.0.att.time_first")) {
    version = "RWKV-4";
  }
  if (!version.empty()) {
    return fail(Errc::kUnsupported, "this is an " + version + " model, and only RWKV-7 runs yet",
                "names of its tensors", "use an RWKV-7 model; versions 4 to 6 come later");
  }
  if (has("model.embeddings.weight") || has("model.layers.0.attn.r_proj.weight")) {
    return fail(Errc::kUnsupported, "this model has Hugging Face's names for its tensors",
                "names of its tensors", "use the official .pth file of the same model");
  }
  return fail(Errc::kUnsupported, "this is not an RWKV model: it has no blocks.0.att.r_k",
              "names of its tensors", "name an RWKV-7 checkpoint");
}

// Variants whose extra tensors change the arithmetic: run without them they would answer nonsense.
Result<void> refuse_variants(const Checkpoint& checkpoint) {
  constexpr std::string_view kVariantParts[] = {"ffn.s_emb.weight", "ffn.s_emb_x.weight", "ffn.s1",
                                                "ffn.enn.weight",   "att.qq.weight",      "qkv.qq"};
  for (const CheckpointTensor& tensor : checkpoint.tensors) {
    const auto named = internal::parse_layer_name(tensor.name);
    if (named && std::ranges::find(kVariantParts, named->part) != std::end(kVariantParts)) {
      return fail(Errc::kUnsupported,
                  "this is a variant of RWKV-7 (DeepEmbed) that does not run yet", tensor.name,
                  "use a plain RWKV-7 model");
    }
  }
  return {};
}

class Finder {
 public:
  explicit Finder(const Checkpoint& checkpoint) : checkpoint_(checkpoint) {
    for (const CheckpointTensor& tensor : checkpoint.tensors) {
      by_name_.emplace(tensor.name, &tensor);
    }
  }
  Result<ModelConfig> run();

 private:
  Result<const CheckpointTensor*> need(const std::string& name) const;
  Result<void> find_sizes();
  Result<void> find_heads();
  Result<void> count_layers();
  Result<void> check_layer(std::uint32_t layer);
  Result<void> check(const CheckpointTensor& tensor, Role role);
  Result<void> check_lora(std::uint32_t layer, std::string_view in, std::string_view out) const;

  const Checkpoint& checkpoint_;
  ByName by_name_;
  ModelConfig config_;
};

Result<const CheckpointTensor*> Finder::need(const std::string& name) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) {
    return fail(Errc::kCorrupt, "a tensor that RWKV-7 needs is missing", name, kIncomplete);
  }
  return found->second;
}

Result<void> Finder::find_sizes() {
  TRY(const CheckpointTensor* embedding, need(std::string(internal::kEmbedding.name)));
  if (embedding->shape.size() != 2 || embedding->shape[0] > kMaxVocab ||
      embedding->shape[1] > kMaxWidth) {
    return misfit(*embedding, "(vocabulary up to " + std::to_string(kMaxVocab) + ", width up to " +
                                  std::to_string(kMaxWidth) + ")");
  }
  config_.vocab = embedding->shape[0];
  config_.width = embedding->shape[1];
  TRY(const CheckpointTensor* ffn, need(layer_name(0, "ffn.key.weight")));
  if (ffn->shape.size() != 2 || ffn->shape[0] > kMaxFfnWidth) {
    return misfit(*ffn, "(channel-mix width up to " + std::to_string(kMaxFfnWidth) + ", width)");
  }
  config_.ffn_width = ffn->shape[0];
  return find_heads();
}

Result<void> Finder::find_heads() {
  TRY(const CheckpointTensor* bonus, need(layer_name(0, "att.r_k")));
  const Shape& shape = bonus->shape;
  std::uint32_t head_size = shape.back();
  const bool flattened = shape.size() != 2 || (shape[0] == 1 && head_size > kReleasedHeadSize);
  if (flattened) head_size = kReleasedHeadSize;
  if (head_size == 0 || config_.width % head_size != 0) {
    return misfit(*bonus, "(heads, head size) with product " + std::to_string(config_.width));
  }
  config_.head_size = head_size;
  config_.heads = config_.width / head_size;
  return {};
}

Result<void> Finder::count_layers() {
  for (const CheckpointTensor& tensor : checkpoint_.tensors) {
    const auto named = internal::parse_layer_name(tensor.name);
    if (!named) continue;
    if (named->layer >= kMaxLayers) {
      return fail(Errc::kUnsupported,
                  "there are more than " + std::to_string(kMaxLayers) + " layers", tensor.name,
                  "name an RWKV-7 checkpoint");
    }
    config_.layers = std::max(config_.layers, named->layer + 1);
  }
  return {};
}

Result<void> Finder::check(const CheckpointTensor& tensor, Role role) {
  const Shape& shape = tensor.shape;
  const auto matrix = [&](std::uint32_t rows, std::uint32_t cols) -> Result<void> {
    if (shape == Shape{rows, cols}) return {};
    return misfit(tensor, to_text({rows, cols}));
  };
  std::uint64_t elements = 1;  // rank <= 8 and the file holds them all: no overflow
  for (const std::uint32_t dimension : shape) elements *= dimension;
  switch (role) {
    case Role::kVector:
    case Role::kBonus:
      if (elements == config_.width) return {};
      return misfit(tensor, std::to_string(config_.width) + " elements");
    case Role::kLoraIn:
      if (shape.size() == 2 && shape[0] == config_.width) return {};
      return misfit(tensor, "(" + std::to_string(config_.width) + ", rank)");
    case Role::kLoraOut:
      if (shape.size() == 2 && shape[1] == config_.width) return {};
      return misfit(tensor, "(rank, " + std::to_string(config_.width) + ")");
    case Role::kSquare:
      return matrix(config_.width, config_.width);
    case Role::kFfnIn:
      return matrix(config_.ffn_width, config_.width);
    case Role::kFfnOut:
      return matrix(config_.width, config_.ffn_width);
    case Role::kTokens:
      return matrix(config_.vocab, config_.width);
    case Role::kOther:
      break;
  }
  return {};
}

Result<void> Finder::check_lora(std::uint32_t layer, std::string_view in,
                                std::string_view out) const {
  const auto first = by_name_.find(layer_name(layer, in));
  const auto second = by_name_.find(layer_name(layer, out));
  if (first == by_name_.end() || second == by_name_.end()) return {};  // layer 0 without v1, v2
  if (first->second->shape[1] == second->second->shape[0]) return {};
  return misfit(*second->second, to_text({first->second->shape[1], config_.width}));
}

Result<void> Finder::check_layer(std::uint32_t layer) {
  for (const Part& part : internal::layer_parts()) {
    if (part.presence == Presence::kFirstLayerOnly && layer != 0) continue;
    const std::string name = layer_name(layer, part.name);
    const bool may_lack = part.presence == Presence::kOptionalInFirstLayer && layer == 0;
    if (may_lack && !by_name_.contains(name)) continue;
    TRY(const CheckpointTensor* tensor, need(name));
    TRY_VOID(check(*tensor, part.role));
  }
  TRY_VOID(check_lora(layer, "att.w1", "att.w2"));
  TRY_VOID(check_lora(layer, "att.a1", "att.a2"));
  TRY_VOID(check_lora(layer, "att.v1", "att.v2"));
  return check_lora(layer, "att.g1", "att.g2");
}

Result<ModelConfig> Finder::run() {
  if (!by_name_.contains("blocks.0.att.r_k") && !by_name_.contains("blocks.0.att.x_r")) {
    return refuse_others(by_name_);
  }
  TRY_VOID(refuse_variants(checkpoint_));
  config_.architecture = Architecture::kRwkv7;
  TRY_VOID(find_sizes());
  TRY_VOID(count_layers());
  for (std::uint32_t layer = 0; layer < config_.layers; ++layer) {
    TRY_VOID(check_layer(layer));
  }
  for (const Part& part : internal::closing_parts()) {
    TRY(const CheckpointTensor* tensor, need(std::string(part.name)));
    TRY_VOID(check(*tensor, part.role));
  }
  return config_;
}

}  // namespace

Result<ModelConfig> find_config(const Checkpoint& checkpoint) { return Finder(checkpoint).run(); }

}  // namespace skein
