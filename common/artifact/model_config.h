// ModelConfig: the architecture and shapes of an RWKV model, found in its tensors. Value; any
// thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace skein {

// Numbers stand in manifests: never renumber.
enum class Architecture : std::uint8_t {
  kRwkv4 = 4,
  kRwkv5_1 = 51,
  kRwkv5_2 = 52,
  kRwkv6 = 6,
  kRwkv7 = 7,
};
std::string_view name_of(
    Architecture architecture);  // "rwkv4", "rwkv5.1", "rwkv5.2", "rwkv6", "rwkv7"

// Limits that a file's own numbers are checked against before anything is sized by them.
inline constexpr std::uint32_t kMaxLayers = 256;
inline constexpr std::uint32_t kMaxWidth = 32768;
inline constexpr std::uint32_t kMaxFfnWidth = 262144;
inline constexpr std::uint32_t kMaxVocab = 1U << 20;

struct ModelConfig {
  Architecture architecture = Architecture::kRwkv7;
  std::uint32_t layers = 0;
  std::uint32_t width = 0;      // D
  std::uint32_t heads = 0;      // H = D / head_size
  std::uint32_t head_size = 0;  // N, 64 in released models
  std::uint32_t ffn_width = 0;  // F
  std::uint32_t vocab = 0;      // V
  friend bool operator==(const ModelConfig&, const ModelConfig&) = default;
};

}  // namespace skein
