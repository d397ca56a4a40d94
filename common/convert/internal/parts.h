// The tensors of RWKV-7 by name: what each is, where it must be present, and in which order a layer
// uses them. Pure data; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace skein::internal {

enum class Role : std::uint8_t {
  kVector,   // (D), however many leading ones
  kBonus,    // r_k: (H, N), or flattened
  kLoraIn,   // (D, rank)
  kLoraOut,  // (rank, D)
  kSquare,   // (D, D)
  kFfnIn,    // (F, D)
  kFfnOut,   // (D, F), stored neuron-major
  kTokens,   // (V, D): embedding and head
  kOther,    // not RWKV-7's, kept as it is
};

enum class Presence : std::uint8_t {
  kAlways,
  kFirstLayerOnly,
  kOptionalInFirstLayer,  // the value residual: layer 0 carries it unused, or not at all
};

struct Part {
  std::string_view name;  // below "blocks.N.", or the whole name
  Role role = Role::kOther;
  Presence presence = Presence::kAlways;
};

std::span<const Part> layer_parts();  // in order of use, small ones first
inline constexpr Part kEmbedding{"emb.weight", Role::kTokens};
inline constexpr Part kHead{"head.weight", Role::kTokens};
std::span<const Part> closing_parts();  // ln_out, then the head

std::string layer_name(std::uint32_t layer, std::string_view part);  // "blocks.3.att.w0"

// Where a tensor stands in the order of use, and what it is.
struct PlaceInModel {
  std::uint32_t group = 0;  // 0 embedding, 1 + layer, then the end; small tensors of one group
                            // share pages
  std::uint32_t rank = 0;   // within the group; unknown ones come last
  Role role = Role::kOther;
};
PlaceInModel place_in_model(std::string_view name);

// "blocks.12.att.w0" -> 12 and "att.w0"; nullopt = not of that form (or an absurd number).
struct LayerTensor {
  std::uint32_t layer = 0;
  std::string_view part;
};
std::optional<LayerTensor> parse_layer_name(std::string_view name);

}  // namespace skein::internal
