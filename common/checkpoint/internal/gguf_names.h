// The tensors of llama.cpp's rwkv6 and rwkv7 architectures under their official names: what its
// converter joins, transposes, halves or adds is undone or noted. Pure; any thread.
#pragma once

#include <optional>
#include <vector>

#include "common/checkpoint/checkpoint.h"
#include "common/checkpoint/internal/source.h"

namespace skein {

enum class GgufArchitecture : std::uint8_t { kRwkv6, kRwkv7 };

struct GgufModel {
  GgufArchitecture architecture = GgufArchitecture::kRwkv7;
  std::uint32_t head_size = 0;
  std::optional<std::uint64_t> layers = {};  // as the file says
  std::uint32_t rescale_every = 0;  // layers after which RWKV-6's converter halves; 0 = never
};

// Errc::kUnsupported names a tensor that the architecture does not have; Errc::kCorrupt: layers are
// missing or too many.
Result<std::vector<CheckpointTensor>> official_tensors(const Source& source, const GgufModel& model,
                                                       std::vector<CheckpointTensor> tensors);

}  // namespace skein
