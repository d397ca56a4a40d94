// safetensors tensors as those of a checkpoint. The data is covered: safetensors_header.h.
#include "common/checkpoint/internal/readers.h"
#include "common/checkpoint/safetensors_header.h"

namespace skein {
namespace {

constexpr std::uint64_t kMaxHeaderBytes = 16U << 20;

std::optional<Format> format_of(std::string_view dtype) {
  if (dtype == "F32") return Format::kF32;
  if (dtype == "F16") return Format::kF16;
  if (dtype == "BF16") return Format::kBf16;
  return std::nullopt;
}

Result<CheckpointTensor> read_entry(const Source& source, const SafetensorsEntry& entry) {
  const std::string what = "tensor " + quoted(entry.name);
  const auto format = format_of(entry.dtype);
  if (!format) {
    return source.unsupported(what + " has dtype " + quoted(entry.dtype), "header",
                              "save the model with F32, F16 or BF16 tensors");
  }
  const std::uint64_t bytes = entry.end - entry.begin;
  const std::uint64_t size = element_bytes(*format);
  const auto count = count_elements(entry.shape, bytes / size);
  if (!count || *count * size != bytes) {
    return source.corrupt(what + " has a shape that does not fit its bytes", "header");
  }
  return CheckpointTensor{.name = entry.name,
                          .shape = narrow_shape(entry.shape),
                          .format = *format,
                          .data = source.bytes.subspan(entry.begin, bytes)};
}

}  // namespace

Result<Checkpoint> read_safetensors(const Source& source) {
  TRY(const auto entries, read_safetensors_header(source.bytes, source.file, kMaxHeaderBytes));
  Checkpoint checkpoint{.kind = CheckpointKind::kSafetensors, .tensors = {}};
  for (const SafetensorsEntry& entry : entries) {
    TRY(CheckpointTensor tensor, read_entry(source, entry));
    checkpoint.tensors.push_back(std::move(tensor));
  }
  return checkpoint;
}

}  // namespace skein
