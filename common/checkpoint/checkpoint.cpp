#include "common/checkpoint/checkpoint.h"

#include <algorithm>
#include <unordered_set>

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

Result<Checkpoint> read_any(const Source& source) {
  const auto kind = detect_checkpoint(source.bytes);
  if (!kind && as_text(source.bytes).starts_with("GGUF")) {
    return source.unsupported("GGUF files are read by a later version of Skein", at_byte(0),
                              "use the model's .pth, .safetensors or rwkv.cpp .bin file");
  }
  if (!kind) {
    return source.unsupported("this is no checkpoint that Skein knows", at_byte(0),
                              "name a .pth, .safetensors or rwkv.cpp .bin file");
  }
  switch (*kind) {
    case CheckpointKind::kPth:
      return read_pth(source);
    case CheckpointKind::kSafetensors:
      return read_safetensors(source);
    case CheckpointKind::kRwkvCpp:
      break;
  }
  return read_rwkv_cpp(source);
}

}  // namespace

std::string_view name_of(CheckpointKind kind) {
  switch (kind) {
    case CheckpointKind::kPth:
      return "pth";
    case CheckpointKind::kSafetensors:
      return "safetensors";
    case CheckpointKind::kRwkvCpp:
      break;
  }
  return "rwkv.cpp";
}

std::optional<CheckpointKind> detect_checkpoint(ByteView file) {
  const std::string_view text = as_text(file);
  const auto is = [&](std::string_view magic) { return text.starts_with(magic); };
  if (is("PK\x03\x04") || is("PK\x05\x06")) return CheckpointKind::kPth;
  if (is(std::string_view("\x80\x02\x8a\x0a", 4))) return CheckpointKind::kPth;  // before torch 1.6
  if (is("fmgg")) return CheckpointKind::kRwkvCpp;
  if (file.size() > 8 && text[8] == '{' && load_le<std::uint64_t>(file, 0) <= kMaxPlausibleHeader) {
    return CheckpointKind::kSafetensors;
  }
  return std::nullopt;
}

Result<Checkpoint> read_checkpoint(ByteView file, std::string_view file_name) {
  const Source source{.bytes = file, .file = file_name};
  TRY(Checkpoint checkpoint, read_any(source));
  return check_names(source, std::move(checkpoint));
}

}  // namespace skein
