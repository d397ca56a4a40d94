// Checkpoint: a model file as others write it: PyTorch .pth, safetensors, rwkv.cpp .bin, GGUF. The
// kind is told by content. Readers are pure functions over the file's bytes (mapped by the caller,
// who keeps them alive): no code is executed, nothing is allocated by an unchecked field. Any
// thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/checkpoint/blocks.h"
#include "kernels/ops/format.h"

namespace skein {

// A file that asks for more is refused before anything is sized by it.
inline constexpr std::uint32_t kMaxCheckpointTensors = 1U << 16;
inline constexpr std::uint32_t kMaxTensorRank = 8;
inline constexpr std::uint32_t kMaxTensorName = 256;

enum class CheckpointKind : std::uint8_t { kPth, kSafetensors, kRwkvCpp, kGguf };
std::string_view name_of(CheckpointKind kind);

// A tensor in place. Its elements lie in row-major order at any alignment, either plain (f32, bf16
// or f16) or packed in blocks, which stay packed until somebody reads them. What a converter did to
// whole matrices is noted and not undone, so that opening a file costs no memory.
struct CheckpointTensor {
  std::string name;                       // official RWKV name
  std::vector<std::uint32_t> shape = {};  // the official one, outermost first
  Format format = Format::kF32;           // of the elements; of packed ones: f32
  ByteView data = {};
  // Set where the reader had to compute the elements anew (rwkv.cpp's decays): then `data` views
  // this. Null: `data` views the file.
  std::shared_ptr<const Buffer> relaid = {};
  Packing packing = Packing::kNone;
  bool swapped = false;        // `data` holds the last two dimensions the other way round
  std::uint8_t doublings = 0;  // `data` holds the values halved this often (RWKV-6 in GGUF)
};

struct Checkpoint {
  CheckpointKind kind = CheckpointKind::kPth;
  std::vector<CheckpointTensor> tensors;  // in file order, names unique
  std::string vocabulary = {};            // in the World format; empty = the file has none
};

// Whether `data` is exactly what the shape asks for. True of every tensor that a reader returned.
bool fits_its_shape(const CheckpointTensor& tensor);
// Elements [first, first + out.size()) in the order of `data`, as floats; doublings are applied.
void read_elements(const CheckpointTensor& tensor, std::uint64_t first, std::span<float> out);

// `file_name` is only for messages. Errc::kCorrupt / kUnsupported with the place and the remedy.
Result<Checkpoint> read_checkpoint(ByteView file, std::string_view file_name);
// What the first bytes say it is; nullopt = none of these (perhaps a Skein artifact).
std::optional<CheckpointKind> detect_checkpoint(ByteView file);

}  // namespace skein
