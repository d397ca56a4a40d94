#include "common/checkpoint/checkpoint.h"

#include <algorithm>
#include <bit>
#include <unordered_set>

#include "common/checkpoint/internal/hugging_face.h"
#include "common/checkpoint/internal/readers.h"

namespace skein {
namespace {

constexpr std::uint64_t kMaxPlausibleHeader = 100'000'000;  // safetensors' own limit

bool is_printable(std::string_view name) {
  return std::ranges::all_of(name, [](char c) { return c > ' ' && c <= '~'; });
}

// What holds for tensors of every kind of file, once each is in its place.
Result<Checkpoint> check_names(const Source& source, Checkpoint checkpoint) {
  if (checkpoint.tensors.empty()) return source.corrupt("there is no tensor", "whole file");
  if (checkpoint.tensors.size() > kMaxCheckpointTensors) {
    return source.corrupt("there are too many tensors", "whole file");
  }
  std::unordered_set<std::string_view> names;
  for (const CheckpointTensor& tensor : checkpoint.tensors) {
    const std::string what = "tensor " + quoted(tensor.name);
    if (tensor.name.empty() || tensor.name.size() > kMaxTensorName || !is_printable(tensor.name)) {
      return source.corrupt(what + " has an impossible name", "names");
    }
    if (!names.insert(tensor.name).second) {
      return source.corrupt(what + " is there twice", "names");
    }
  }
  return checkpoint;
}

// Files that PyTorch's world writes, where Hugging Face has its own names for tensors, and cuts
// large models into several files.
Result<Checkpoint> read_torch(const Source& source, CheckpointKind kind) {
  if (is_shard_name(source.file)) return refuse_shards(source);
  TRY(Checkpoint checkpoint,
      kind == CheckpointKind::kPth ? read_pth(source) : read_safetensors(source));
  TRY_VOID(translate_hugging_face(source, checkpoint.tensors));
  return checkpoint;
}

Result<Checkpoint> read_any(const Source& source) {
  const auto kind = detect_checkpoint(source.bytes);
  if (!kind && is_shard_index(source)) return refuse_shards(source);
  if (!kind) {
    return source.unsupported("this is no checkpoint that Skein knows", at_byte(0),
                              "name a .pth, .safetensors, .gguf or rwkv.cpp .bin file");
  }
  switch (*kind) {
    case CheckpointKind::kPth:
    case CheckpointKind::kSafetensors:
      return read_torch(source, *kind);
    case CheckpointKind::kRwkvCpp:
      return read_rwkv_cpp(source);
    case CheckpointKind::kGguf:
      break;
  }
  return read_gguf(source);
}

}  // namespace

std::string_view name_of(CheckpointKind kind) {
  switch (kind) {
    case CheckpointKind::kPth:
      return "pth";
    case CheckpointKind::kSafetensors:
      return "safetensors";
    case CheckpointKind::kRwkvCpp:
      return "rwkv.cpp";
    case CheckpointKind::kGguf:
      break;
  }
  return "gguf";
}

std::optional<CheckpointKind> detect_checkpoint(ByteView file) {
  const std::string_view text = as_text(file);
  const auto is = [&](std::string_view magic) { return text.starts_with(magic); };
  if (is("PK\x03\x04") || is("PK\x05\x06")) return CheckpointKind::kPth;
  if (is(std::string_view("\x80\x02\x8a\x0a", 4))) return CheckpointKind::kPth;  // before torch 1.6
  if (is("fmgg")) return CheckpointKind::kRwkvCpp;
  if (is("GGUF")) return CheckpointKind::kGguf;
  if (file.size() > 8 && text[8] == '{' && load_le<std::uint64_t>(file, 0) <= kMaxPlausibleHeader) {
    return CheckpointKind::kSafetensors;
  }
  return std::nullopt;
}

bool fits_its_shape(const CheckpointTensor& tensor) {
  const BlockSize unit = unit_of(tensor.packing, tensor.format);
  if (is_quantized(tensor.format) || tensor.data.size() % unit.bytes != 0) return false;
  const std::uint64_t held = tensor.data.size() / unit.bytes * unit.elements;
  const std::vector<std::uint64_t> shape(tensor.shape.begin(), tensor.shape.end());
  return count_elements(shape, held) == held;
}

void read_elements(const CheckpointTensor& tensor, std::uint64_t first, std::span<float> out) {
  if (tensor.packing != Packing::kNone) {
    unpack(tensor.packing, tensor.data, first, out);
  } else {
    const std::uint64_t size = element_bytes(tensor.format);
    const ByteView plain = tensor.data.subspan(first * size, out.size() * size);
    decode(tensor.format, Layout::kRows, 1, static_cast<std::uint32_t>(out.size()), plain, out);
  }
  if (tensor.doublings == 0) return;
  const float factor = std::bit_cast<float>((127U + tensor.doublings) << 23);
  for (float& value : out) value *= factor;
}

Result<Checkpoint> read_checkpoint(ByteView file, std::string_view file_name) {
  const Source source{.bytes = file, .file = file_name};
  TRY(Checkpoint checkpoint, read_any(source));
  return check_names(source, std::move(checkpoint));
}

}  // namespace skein
