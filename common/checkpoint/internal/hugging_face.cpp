#include "common/checkpoint/internal/hugging_face.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "common/checkpoint/internal/official.h"

namespace skein {
namespace {

constexpr std::size_t kIndexStart = 64 * 1024;  // the list of parts begins in its first pages

struct NamePair {
  std::string_view theirs;
  std::string_view official;
};

constexpr std::array kOutside = {
    NamePair{"model.embeddings.weight", "emb.weight"},
    NamePair{"model.norm.weight", "ln_out.weight"},
    NamePair{"model.norm.bias", "ln_out.bias"},
    NamePair{"lm_head.weight", "head.weight"},
};

// The middle of a layer's names; what follows it stays.
constexpr std::array kModules = {
    NamePair{"pre_norm.", "ln0."},           NamePair{"attn_norm.", "ln1."},
    NamePair{"ffn_norm.", "ln2."},           NamePair{"ffn.key.", "ffn.key."},
    NamePair{"ffn.value.", "ffn.value."},    NamePair{"attn.r_proj.", "att.receptance."},
    NamePair{"attn.k_proj.", "att.key."},    NamePair{"attn.v_proj.", "att.value."},
    NamePair{"attn.o_proj.", "att.output."}, NamePair{"attn.g_norm.", "att.ln_x."},
};
constexpr std::string_view kWeightOrBias[] = {"weight", "bias"};

// Vectors that the official checkpoint keeps as (1, 1, D).
constexpr std::array kVectors = {
    NamePair{"attn.x_r", "att.x_r"}, NamePair{"attn.x_w", "att.x_w"},
    NamePair{"attn.x_k", "att.x_k"}, NamePair{"attn.x_v", "att.x_v"},
    NamePair{"attn.x_a", "att.x_a"}, NamePair{"attn.x_g", "att.x_g"},
    NamePair{"attn.k_k", "att.k_k"}, NamePair{"attn.k_a", "att.k_a"},
    NamePair{"ffn.x_k", "ffn.x_k"},
};
constexpr std::array<std::string_view, 6> kJoined = {"x_r", "x_w", "x_k", "x_v", "x_a", "x_g"};

// "w_lora.lora.0.weight" is w1, "w_lora.lora.2.weight" w2, "w_lora.lora.2.bias" w0; the same for a,
// v and g. Linear layers hold their matrices transposed.
constexpr std::array kLoraEnds = {NamePair{"_lora.lora.0.weight", "1"},
                                  NamePair{"_lora.lora.2.weight", "2"},
                                  NamePair{"_lora.lora.2.bias", "0"}};

void make_vector(CheckpointTensor& tensor) {
  if (tensor.shape.size() == 1) tensor.shape = {1, 1, tensor.shape.front()};
}

// The official name below "blocks.N.", its shape and direction noted; nullopt = RWKV-7 has no such
// part.
std::optional<std::string> official_part(std::string_view part, CheckpointTensor& tensor) {
  for (const NamePair& pair : kModules) {
    if (!part.starts_with(pair.theirs)) continue;
    const std::string_view rest = part.substr(pair.theirs.size());
    if (std::ranges::find(kWeightOrBias, rest) == std::end(kWeightOrBias)) return std::nullopt;
    return std::string(pair.official) + std::string(rest);
  }
  const auto vector = std::ranges::find(kVectors, part, &NamePair::theirs);
  if (vector != kVectors.end()) {
    make_vector(tensor);
    return std::string(vector->official);
  }
  if (part == "attn.r_k") return "att.r_k";
  constexpr std::string_view kBefore = "attn.";
  if (!part.starts_with(kBefore) || part.size() <= kBefore.size()) return std::nullopt;
  const char letter = part[kBefore.size()];
  const auto end = std::ranges::find(kLoraEnds, part.substr(kBefore.size() + 1), &NamePair::theirs);
  if (end == kLoraEnds.end() || std::string_view("wavg").find(letter) == std::string_view::npos) {
    return std::nullopt;
  }
  if (end->official == "0") {
    make_vector(tensor);
  } else {
    mark_swapped(tensor);
  }
  return std::string("att.") + letter + std::string(end->official);
}

Result<void> translate(const Source& source, CheckpointTensor tensor,
                       std::vector<CheckpointTensor>& out) {
  const auto outside = std::ranges::find(kOutside, tensor.name, &NamePair::theirs);
  const auto numbered = parse_numbered(tensor.name, "model.layers.");
  if (outside != kOutside.end()) {
    tensor.name = outside->official;
  } else if (numbered && numbered->part == "attn.x_x") {
    return split_joined(source, tensor, "blocks." + numbered->number + ".att.", kJoined, out);
  } else {
    const auto part = numbered ? official_part(numbered->part, tensor) : std::nullopt;
    if (!part) {
      return source.unsupported(
          "tensor " + quoted(tensor.name) + " is none of RWKV-7's on Hugging Face", "names",
          "use the official .pth file of the same model");
    }
    tensor.name = "blocks." + numbered->number + "." + *part;
  }
  out.push_back(std::move(tensor));
  return {};
}

// The version whose names on Hugging Face these are, if Skein does not read it under them.
std::string_view unread_version(const std::vector<CheckpointTensor>& tensors) {
  const auto has = [&](std::string_view part) {
    return std::ranges::any_of(
        tensors, [&](const CheckpointTensor& tensor) { return tensor.name.ends_with(part); });
  };
  if (has("rwkv.blocks.0.attention.time_maa_x") || has("model.layers.0.attn.x_proj.0.weight")) {
    return "RWKV-6";
  }
  if (has("rwkv.blocks.0.attention.ln_x.weight")) return "RWKV-5";
  if (has("rwkv.blocks.0.attention.time_first")) return "RWKV-4";
  return "";
}

}  // namespace

Result<void> translate_hugging_face(const Source& source, std::vector<CheckpointTensor>& tensors) {
  const std::string_view version = unread_version(tensors);
  if (!version.empty()) {
    return source.unsupported(
        "this " + std::string(version) + " model has Hugging Face's names for its tensors", "names",
        "use the official .pth file of the same model");
  }
  const bool theirs = std::ranges::any_of(tensors, [](const CheckpointTensor& tensor) {
    return tensor.name == "model.layers.0.attn.r_k";
  });
  if (!theirs) return {};
  std::vector<CheckpointTensor> out;
  out.reserve(tensors.size());
  for (CheckpointTensor& tensor : tensors) {
    TRY_VOID(translate(source, std::move(tensor), out));
  }
  tensors = std::move(out);
  return {};
}

bool is_shard_name(std::string_view file_name) {
  const std::size_t of = file_name.rfind("-of-");
  if (of == std::string_view::npos) return false;
  const std::string_view rest = file_name.substr(of + 4);
  std::uint32_t parts = 0;
  const auto [end, wrong] = std::from_chars(rest.data(), rest.data() + rest.size(), parts);
  const auto digits = static_cast<std::size_t>(end - rest.data());
  return wrong == std::errc() && digits == 5 && digits < rest.size() && rest[digits] == '.' &&
         parts > 1;
}

bool is_shard_index(const Source& source) {
  const std::string_view text = as_text(source.bytes).substr(0, kIndexStart);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text[first] == '{' &&
         (text.find("\"weight_map\"") != std::string_view::npos);
}

tl::unexpected<Error> refuse_shards(const Source& source) {
  return source.unsupported("the model lies in several files, of which this is one", "whole file",
                            "save it as one file, with save_pretrained(folder, "
                            "max_shard_size=\"100GB\"), or use the official .pth");
}

}  // namespace skein
