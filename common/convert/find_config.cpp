// Architecture and shapes from the tensors alone: the names tell the version; the embedding, the
// bonus (or 5.1's decay) and the first channel-mix give the sizes; then every tensor of that
// version must be there and fit.
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
constexpr std::uint32_t kMixes = 5;  // of RWKV-6, that depend on the token

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

std::string version_text(Architecture architecture) {
  std::string name(name_of(architecture));
  return "RWKV-" + name.substr(std::string_view("rwkv").size());
}

// The version, by the names of the first layer's tensors.
Result<Architecture> find_version(const ByName& tensors) {
  const auto has = [&](std::string_view name) { return tensors.contains(name); };
  if (has("blocks.0.att.r_k") || has("blocks.0.att.x_r")) return Architecture::kRwkv7;
  if (has("blocks.0.att.time_maa_x") || has("blocks.0.att.time_maa_w1")) {
    return Architecture::kRwkv6;
  }
  if (has("blocks.0.att.time_faaaa")) return Architecture::kRwkv5_2;
  if (has("blocks.0.att.ln_x.weight")) return Architecture::kRwkv5_1;
  if (has("blocks.0.att.time_first")) return Architecture::kRwkv4;
  if (has("model.embeddings.weight")) {
    return fail(Errc::kUnsupported, "this model has Hugging Face's names for its tensors",
                "names of its tensors", "use the official .pth file of the same model");
  }
  return fail(Errc::kUnsupported,
              "this is not an RWKV model: it has no blocks.0.att.r_k, ln_x or time_first",
              "names of its tensors", "name a checkpoint of RWKV 4, 5, 6 or 7");
}

// Variants whose extra tensors change the arithmetic: run without them they would answer nonsense.
Result<void> refuse_variants(const Checkpoint& checkpoint) {
  constexpr std::string_view kVariantParts[] = {"ffn.s_emb.weight", "ffn.s_emb_x.weight", "ffn.s1",
                                                "ffn.enn.weight",   "att.qq.weight",      "qkv.qq"};
  for (const CheckpointTensor& tensor : checkpoint.tensors) {
    const auto named = internal::parse_layer_name(tensor.name);
    if (named && std::ranges::find(kVariantParts, named->part) != std::end(kVariantParts)) {
      return fail(Errc::kUnsupported,
                  "this is a variant of RWKV (such as DeepEmbed) that does not run yet",
                  tensor.name, "use a plain RWKV model");
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
  Result<void> find_neurons(std::uint32_t layer);
  bool stands_factored(const std::string& name) const;
  bool is_normed() const { return by_name_.contains(kNormedEmbedding); }
  Result<void> lack(const std::string& name) const;
  Result<void> check_factors(std::uint32_t layer, const Part& part) const;
  Result<void> count_heads();
  Result<void> count_layers();
  Result<void> check_layer(std::uint32_t layer);
  Result<void> check(const CheckpointTensor& tensor, Role role);
  Result<void> check_gate(std::uint32_t layer);
  Result<void> check_lora(std::uint32_t layer, std::string_view in, std::string_view out) const;

  const Checkpoint& checkpoint_;
  ByName by_name_;
  ModelConfig config_;
  std::uint32_t neurons_ = 0;  // of the layer at hand
};

Result<const CheckpointTensor*> Finder::need(const std::string& name) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) {
    return fail(Errc::kCorrupt,
                "a tensor that " + version_text(config_.architecture) + " needs is missing", name,
                kIncomplete);
  }
  return found->second;
}

// A norm that would be taken twice.
Result<void> Finder::lack(const std::string& name) const {
  if (!by_name_.contains(name)) return {};
  return fail(Errc::kCorrupt, "the embedding is marked as normed already, and this is its norm",
              name, kIncomplete);
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
  return find_heads();
}

// A layer's channel mix may be narrower than others'; the config tells the widest.
Result<void> Finder::find_neurons(std::uint32_t layer) {
  TRY(const CheckpointTensor* key, need(layer_name(layer, "ffn.key.weight")));
  if (key->shape.size() != 2 || key->shape[0] == 0 || key->shape[0] > kMaxFfnWidth) {
    return misfit(*key, "(channel-mix width up to " + std::to_string(kMaxFfnWidth) + ", width)");
  }
  neurons_ = key->shape[0];
  config_.ffn_width = std::max(config_.ffn_width, neurons_);
  return {};
}

std::uint64_t elements_of(const CheckpointTensor& tensor) {
  std::uint64_t elements = 1;  // rank <= 8 and the file holds them all: no overflow
  for (const std::uint32_t dimension : tensor.shape) elements *= dimension;
  return elements;
}

Result<void> Finder::find_heads() {
  if (config_.architecture == Architecture::kRwkv4) return {};
  if (config_.architecture == Architecture::kRwkv5_1) return count_heads();
  const bool newest = config_.architecture == Architecture::kRwkv7;
  TRY(const CheckpointTensor* bonus, need(layer_name(0, newest ? "att.r_k" : "att.time_faaaa")));
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

// 5.1 has one decay a head.
Result<void> Finder::count_heads() {
  TRY(const CheckpointTensor* decay, need(layer_name(0, "att.time_decay")));
  const std::uint64_t heads = elements_of(*decay);
  if (heads == 0 || heads > config_.width || config_.width % heads != 0) {
    return misfit(*decay, "(heads), a divisor of " + std::to_string(config_.width));
  }
  config_.heads = static_cast<std::uint32_t>(heads);
  config_.head_size = config_.width / config_.heads;
  return {};
}

Result<void> Finder::count_layers() {
  for (const CheckpointTensor& tensor : checkpoint_.tensors) {
    const auto named = internal::parse_layer_name(tensor.name);
    if (!named) continue;
    if (named->layer >= kMaxLayers) {
      return fail(Errc::kUnsupported,
                  "there are more than " + std::to_string(kMaxLayers) + " layers", tensor.name,
                  "name an RWKV checkpoint");
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
  const auto vector = [&](std::uint32_t size) -> Result<void> {
    if (elements_of(tensor) == size) return {};
    return misfit(tensor, std::to_string(size) + " elements");
  };
  switch (role) {
    case Role::kVector:
    case Role::kBonus:
      return vector(config_.width);
    case Role::kPerHead:
      return vector(config_.architecture == Architecture::kRwkv5_1 ? config_.heads : config_.width);
    case Role::kLoraIn:
      if (shape.size() == 2 && shape[0] == config_.width) return {};
      return misfit(tensor, "(" + std::to_string(config_.width) + ", rank)");
    case Role::kLoraOut:
      if (shape.size() == 2 && shape[1] == config_.width) return {};
      return misfit(tensor, "(rank, " + std::to_string(config_.width) + ")");
    case Role::kLoraStack:
      if (shape.size() == 3 && shape[0] == kMixes && shape[2] == config_.width) return {};
      return misfit(tensor, "(5, rank, " + std::to_string(config_.width) + ")");
    case Role::kSquare:
      return matrix(config_.width, config_.width);
    case Role::kFactorIn:
      if (shape.size() == 2 && shape[0] > 0 && shape[1] == config_.width) return {};
      return misfit(tensor, "(rank, " + std::to_string(config_.width) + ")");
    case Role::kFactorOut:
      if (shape.size() == 2 && shape[0] == config_.width && shape[1] > 0) return {};
      return misfit(tensor, "(" + std::to_string(config_.width) + ", rank)");
    case Role::kFfnIn:
      return matrix(neurons_, config_.width);
    case Role::kFfnOut:
      return matrix(config_.width, neurons_);
    case Role::kTokens:
      return matrix(config_.vocab, config_.width);
    case Role::kShortcut:
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
  const Shape& down = first->second->shape;
  const Shape& up = second->second->shape;
  const std::uint64_t elements = elements_of(*second->second);  // of a stack: of all five
  if (elements == std::uint64_t{down[1]} * up.back()) return {};
  return misfit(*second->second, "made for rank " + std::to_string(down[1]));
}

// A gate in 5.1 is optional, but not half of it.
Result<void> Finder::check_gate(std::uint32_t layer) {
  const std::string gate = layer_name(layer, "att.gate.weight");
  const std::string mix = layer_name(layer, "att.time_mix_g");
  const bool factored = stands_factored(gate);
  if (!by_name_.contains(gate) && !factored && !by_name_.contains(mix)) return {};
  if (by_name_.contains(gate) || !factored) {
    TRY(const CheckpointTensor* gate_tensor, need(gate));
    TRY_VOID(check(*gate_tensor, Role::kSquare));
  }
  TRY(const CheckpointTensor* mix_tensor, need(mix));
  return check(*mix_tensor, Role::kVector);
}

bool Finder::stands_factored(const std::string& name) const {
  return by_name_.contains(name + std::string(kRightFactor));
}

// Of a square matrix: both or neither, of one rank.
Result<void> Finder::check_factors(std::uint32_t layer, const Part& part) const {
  const std::string name = layer_name(layer, part.name);
  const std::string right = name + std::string(kRightFactor);
  const std::string left = name + std::string(kLeftFactor);
  if (!by_name_.contains(right) && !by_name_.contains(left)) return {};
  TRY(const CheckpointTensor* in, need(right));
  TRY(const CheckpointTensor* out, need(left));
  if (out->shape[1] == in->shape[0]) return {};
  return misfit(*out, "made for rank " + std::to_string(in->shape[0]));
}

Result<void> Finder::check_layer(std::uint32_t layer) {
  TRY_VOID(find_neurons(layer));
  for (const Part& part : internal::layer_parts()) {
    if ((part.versions & internal::bit_of(config_.architecture)) == 0) continue;
    if (part.presence == Presence::kFirstLayerOnly && layer != 0) continue;
    const std::string name = layer_name(layer, part.name);
    if (part.presence == Presence::kFirstLayerOnly && is_normed()) {
      TRY_VOID(lack(name));
      continue;
    }
    const bool may_lack = (part.presence == Presence::kOptionalInFirstLayer && layer == 0) ||
                          part.presence == Presence::kFactor ||
                          (part.role == Role::kSquare && stands_factored(name));
    if (may_lack && !by_name_.contains(name)) continue;
    TRY(const CheckpointTensor* tensor, need(name));
    TRY_VOID(check(*tensor, part.role));
  }
  for (const Part& part : internal::layer_parts()) {
    if (part.role == Role::kSquare) TRY_VOID(check_factors(layer, part));
  }
  if (config_.architecture == Architecture::kRwkv5_1) return check_gate(layer);
  if (config_.architecture == Architecture::kRwkv6) {
    TRY_VOID(check_lora(layer, "att.time_maa_w1", "att.time_maa_w2"));
    return check_lora(layer, "att.time_decay_w1", "att.time_decay_w2");
  }
  TRY_VOID(check_lora(layer, "att.w1", "att.w2"));
  TRY_VOID(check_lora(layer, "att.a1", "att.a2"));
  TRY_VOID(check_lora(layer, "att.v1", "att.v2"));
  return check_lora(layer, "att.g1", "att.g2");
}

Result<ModelConfig> Finder::run() {
  TRY(config_.architecture, find_version(by_name_));
  TRY_VOID(refuse_variants(checkpoint_));
  TRY_VOID(find_sizes());
  TRY_VOID(count_layers());
  for (std::uint32_t layer = 0; layer < config_.layers; ++layer) {
    TRY_VOID(check_layer(layer));
  }
  for (const Part& part : internal::closing_parts()) {
    if (part.role == Role::kShortcut) continue;
    TRY(const CheckpointTensor* tensor, need(std::string(part.name)));
    TRY_VOID(check(*tensor, part.role));
  }
  return config_;
}

}  // namespace

Result<ModelConfig> find_config(const Checkpoint& checkpoint) { return Finder(checkpoint).run(); }

}  // namespace skein
