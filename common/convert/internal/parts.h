// The tensors of RWKV by name: what each is, where it must be present, and in which order a layer
// uses them. Pure data; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/artifact/model_config.h"

namespace skein::internal {

enum class Role : std::uint8_t {
  kVector,     // (D), however many leading ones
  kBonus,      // r_k, time_faaaa: (H, N), or flattened
  kPerHead,    // (H) in RWKV-5.1, (D) in the others
  kLoraIn,     // (D, rank)
  kLoraOut,    // (rank, D)
  kLoraStack,  // (5, rank, D), stored as it is
  kSquare,     // (D, D)
  kFactorIn,   // (rank, D): the right factor of a square one
  kFactorOut,  // (D, rank): the left one
  kFfnIn,      // (F, D)
  kFfnOut,     // (D, F), stored neuron-major
  kTokens,     // (V, D): embedding and head
  kShortcut,   // (rows, inputs), in tiles: what spares reading all of the head
  kOther,      // none of RWKV's, kept as it is
};

enum class Presence : std::uint8_t {
  kAlways,
  kFirstLayerOnly,
  kOptionalInFirstLayer,  // the value residual: layer 0 carries it unused, or not at all
  kFactor,                // beside the matrix of the name before it, in its place, or not at all
};

// Sets of versions, as bits.
inline constexpr std::uint8_t kIn4 = 1;
inline constexpr std::uint8_t kIn51 = 2;
inline constexpr std::uint8_t kIn52 = 4;
inline constexpr std::uint8_t kIn6 = 8;
inline constexpr std::uint8_t kIn7 = 16;
inline constexpr std::uint8_t kIn5 = kIn51 | kIn52;
inline constexpr std::uint8_t kInAll = kIn4 | kIn5 | kIn6 | kIn7;
std::uint8_t bit_of(Architecture architecture);

struct Part {
  std::string_view name;  // below "blocks.N.", or the whole name
  Role role = Role::kOther;
  std::uint8_t versions = kInAll;
  Presence presence = Presence::kAlways;
};

// Of all versions, in order of use, small ones first. A name means the same in each.
std::span<const Part> layer_parts();
inline constexpr Part kEmbedding{"emb.weight", Role::kTokens};
inline constexpr Part kHead{"head.weight", Role::kTokens};
std::span<const Part> closing_parts();  // ln_out, the head and what is beside it

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
