// Checkpoint: a model file as others write it: PyTorch .pth, safetensors, rwkv.cpp .bin. The kind
// is told by content. Readers are pure functions over the file's bytes (mapped by the caller, who
// keeps them alive): no code is executed, nothing is allocated by an unchecked field. Any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "kernels/ops/format.h"

namespace skein {

// A file that asks for more is refused before anything is sized by it.
inline constexpr std::uint32_t kMaxCheckpointTensors = 1U << 16;
inline constexpr std::uint32_t kMaxTensorRank = 8;
inline constexpr std::uint32_t kMaxTensorName = 256;

enum class CheckpointKind : std::uint8_t { kPth, kSafetensors, kRwkvCpp };
std::string_view name_of(CheckpointKind kind);

// A tensor in place: row-major elements of `format` (f32, bf16 or f16), at any alignment.
struct CheckpointTensor {
  std::string name;                       // official RWKV name
  std::vector<std::uint32_t> shape = {};  // outermost first
  Format format = Format::kF32;
  ByteView data = {};
  // Set where the file holds the tensor in another order (rwkv.cpp's LoRA matrices) and the reader
  // had to lay it out anew: then `data` views this. Null: `data` views the file.
  std::shared_ptr<const Buffer> relaid = {};
};

struct Checkpoint {
  CheckpointKind kind = CheckpointKind::kPth;
  std::vector<CheckpointTensor> tensors;  // in file order, names unique
};

// `file_name` is only for messages. Errc::kCorrupt / kUnsupported with the place and the remedy.
Result<Checkpoint> read_checkpoint(ByteView file, std::string_view file_name);
// What the first bytes say it is; nullopt = none of these (perhaps a Skein artifact).
std::optional<CheckpointKind> detect_checkpoint(ByteView file);

}  // namespace skein
