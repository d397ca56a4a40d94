#include "common/convert/internal/parts.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "common/artifact/model_config.h"

namespace skein::internal {
namespace {

constexpr std::string_view kLayerPrefix = "blocks.";

constexpr std::array kLayerParts = {
    Part{"ln0.weight", Role::kVector, kInAll, Presence::kFirstLayerOnly},
    Part{"ln0.bias", Role::kVector, kInAll, Presence::kFirstLayerOnly},
    Part{"ln1.weight", Role::kVector},
    Part{"ln1.bias", Role::kVector},
    Part{"att.x_r", Role::kVector, kIn7},
    Part{"att.x_w", Role::kVector, kIn7},
    Part{"att.x_k", Role::kVector, kIn7},
    Part{"att.x_v", Role::kVector, kIn7},
    Part{"att.x_a", Role::kVector, kIn7},
    Part{"att.x_g", Role::kVector, kIn7},
    Part{"att.w0", Role::kVector, kIn7},
    Part{"att.a0", Role::kVector, kIn7},
    Part{"att.v0", Role::kVector, kIn7, Presence::kOptionalInFirstLayer},
    Part{"att.k_k", Role::kVector, kIn7},
    Part{"att.k_a", Role::kVector, kIn7},
    Part{"att.r_k", Role::kBonus, kIn7},
    Part{"att.time_mix_r", Role::kVector, kIn4 | kIn5},
    Part{"att.time_mix_k", Role::kVector, kIn4 | kIn5},
    Part{"att.time_mix_v", Role::kVector, kIn4 | kIn5},
    Part{"att.time_mix_g", Role::kVector, kIn52},
    Part{"att.time_maa_x", Role::kVector, kIn6},
    Part{"att.time_maa_w", Role::kVector, kIn6},
    Part{"att.time_maa_k", Role::kVector, kIn6},
    Part{"att.time_maa_v", Role::kVector, kIn6},
    Part{"att.time_maa_r", Role::kVector, kIn6},
    Part{"att.time_maa_g", Role::kVector, kIn6},
    Part{"att.time_decay", Role::kPerHead, kIn4 | kIn5 | kIn6},
    Part{"att.time_first", Role::kPerHead, kIn4 | kIn51},
    Part{"att.time_faaaa", Role::kBonus, kIn52 | kIn6},
    Part{"att.ln_x.weight", Role::kVector, kIn5 | kIn6 | kIn7},
    Part{"att.ln_x.bias", Role::kVector, kIn5 | kIn6 | kIn7},
    Part{"ln2.weight", Role::kVector},
    Part{"ln2.bias", Role::kVector},
    Part{"ffn.x_k", Role::kVector, kIn7},
    Part{"ffn.time_mix_k", Role::kVector, kIn4 | kIn5},
    Part{"ffn.time_mix_r", Role::kVector, kIn4 | kIn5},
    Part{"ffn.time_maa_k", Role::kVector, kIn6},
    Part{"ffn.time_maa_r", Role::kVector, kIn6},
    Part{"att.w1", Role::kLoraIn, kIn7},
    Part{"att.w2", Role::kLoraOut, kIn7},
    Part{"att.a1", Role::kLoraIn, kIn7},
    Part{"att.a2", Role::kLoraOut, kIn7},
    Part{"att.v1", Role::kLoraIn, kIn7, Presence::kOptionalInFirstLayer},
    Part{"att.v2", Role::kLoraOut, kIn7, Presence::kOptionalInFirstLayer},
    Part{"att.g1", Role::kLoraIn, kIn7},
    Part{"att.g2", Role::kLoraOut, kIn7},
    Part{"att.time_maa_w1", Role::kLoraIn, kIn6},
    Part{"att.time_maa_w2", Role::kLoraStack, kIn6},
    Part{"att.time_decay_w1", Role::kLoraIn, kIn6},
    Part{"att.time_decay_w2", Role::kLoraOut, kIn6},
    Part{"att.receptance.weight.right", Role::kFactorIn, kInAll, Presence::kFactor},
    Part{"att.receptance.weight", Role::kSquare},
    Part{"att.receptance.weight.left", Role::kFactorOut, kInAll, Presence::kFactor},
    Part{"att.key.weight.right", Role::kFactorIn, kInAll, Presence::kFactor},
    Part{"att.key.weight", Role::kSquare},
    Part{"att.key.weight.left", Role::kFactorOut, kInAll, Presence::kFactor},
    Part{"att.value.weight.right", Role::kFactorIn, kInAll, Presence::kFactor},
    Part{"att.value.weight", Role::kSquare},
    Part{"att.value.weight.left", Role::kFactorOut, kInAll, Presence::kFactor},
    Part{"att.gate.weight.right", Role::kFactorIn, kIn5 | kIn6, Presence::kFactor},
    Part{"att.gate.weight", Role::kSquare, kIn52 | kIn6},
    Part{"att.gate.weight.left", Role::kFactorOut, kIn5 | kIn6, Presence::kFactor},
    Part{"att.output.weight.right", Role::kFactorIn, kInAll, Presence::kFactor},
    Part{"att.output.weight", Role::kSquare},
    Part{"att.output.weight.left", Role::kFactorOut, kInAll, Presence::kFactor},
    Part{"ffn.key.weight", Role::kFfnIn},
    Part{"ffn.receptance.weight", Role::kSquare, kIn4 | kIn5 | kIn6},
    Part{"ffn.value.weight", Role::kFfnOut},
};

constexpr std::array kClosingParts = {Part{"ln_out.weight", Role::kVector},
                                      Part{"ln_out.bias", Role::kVector}, kHead,
                                      Part{"head.screen.sketch", Role::kShortcut}};

constexpr std::uint32_t kLastGroup = 1 + kMaxLayers;

PlaceInModel find_part(std::span<const Part> parts, std::string_view name, std::uint32_t group) {
  const auto found = std::ranges::find(parts, name, &Part::name);
  return {.group = group,
          .rank = static_cast<std::uint32_t>(found - parts.begin()),
          .role = found == parts.end() ? Role::kOther : found->role};
}

}  // namespace

std::uint8_t bit_of(Architecture architecture) {
  switch (architecture) {
    case Architecture::kRwkv4:
      return kIn4;
    case Architecture::kRwkv5_1:
      return kIn51;
    case Architecture::kRwkv5_2:
      return kIn52;
    case Architecture::kRwkv6:
      return kIn6;
    case Architecture::kRwkv7:
      break;
  }
  return kIn7;
}

std::span<const Part> layer_parts() { return kLayerParts; }
std::span<const Part> closing_parts() { return kClosingParts; }

std::string layer_name(std::uint32_t layer, std::string_view part) {
  return std::string(kLayerPrefix) + std::to_string(layer) + "." + std::string(part);
}

std::optional<LayerTensor> parse_layer_name(std::string_view name) {
  if (!name.starts_with(kLayerPrefix)) return std::nullopt;
  const std::string_view rest = name.substr(kLayerPrefix.size());
  LayerTensor out;
  const auto [end, wrong] = std::from_chars(rest.data(), rest.data() + rest.size(), out.layer);
  const auto digits = static_cast<std::size_t>(end - rest.data());
  if (wrong != std::errc() || digits == rest.size() || rest[digits] != '.') return std::nullopt;
  if (digits > 1 && rest[0] == '0') return std::nullopt;  // "blocks.01." would be a second block 1
  out.part = rest.substr(digits + 1);
  return out;
}

PlaceInModel place_in_model(std::string_view name) {
  if (name == kEmbedding.name) return {.group = 0, .rank = 0, .role = kEmbedding.role};
  const auto in_layer = parse_layer_name(name);
  if (in_layer && in_layer->layer < kMaxLayers) {
    return find_part(kLayerParts, in_layer->part, 1 + in_layer->layer);
  }
  return find_part(kClosingParts, name, kLastGroup);
}

}  // namespace skein::internal
