// rwkv.cpp's file (its FILE_FORMAT.md): six u32 {magic, version, vocab, width, layers, data type},
// then per tensor three u32 {dimensions, key bytes, data type}, the dimensions innermost first, the
// key, the elements. Its converter changes some tensors; that is undone here (rwkv_cpp_versions.cpp
// for versions 4 to 6). RWKV-7: the six token-shift vectors are joined as "x_rwkvag" (r, w, k, v,
// a, g), and the LoRA matrices w1 w2 a1 a2 v1 v2 g1 g2 are transposed.
#include <algorithm>
#include <array>

#include "common/checkpoint/internal/readers.h"
#include "common/checkpoint/internal/rwkv_cpp_versions.h"

namespace skein {
namespace {

constexpr std::uint32_t kMagic = 0x67676d66;
constexpr std::uint32_t kOldestVersion = 100;
constexpr std::uint32_t kNewestVersion = 101;
constexpr std::string_view kJoined = "x_rwkvag";
constexpr std::array<std::string_view, 6> kJoinedParts = {"x_r", "x_w", "x_k", "x_v", "x_a", "x_g"};
constexpr std::array<std::string_view, 8> kTransposed = {
    ".att.w1", ".att.w2", ".att.a1", ".att.a2", ".att.v1", ".att.v2", ".att.g1", ".att.g2"};
constexpr std::array<std::string_view, 15> kTypeNames = {"FP32", "FP16", "Q4_0", "Q4_1", "Q4_1_O",
                                                         "Q4_2", "Q4_3", "Q5_0", "Q5_1", "Q8_0",
                                                         "Q8_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K"};

Result<Format> format_of(const Source& source, std::uint32_t type, const std::string& what,
                         const std::string& where) {
  if (type == 0) return Format::kF32;
  if (type == 1) return Format::kF16;
  if (type >= kTypeNames.size()) {
    return source.corrupt(what + " has unknown data type " + std::to_string(type), where);
  }
  return source.unsupported(
      what + " is quantized as " + std::string(kTypeNames[type]) + ", which comes later", where,
      "use the FP32 or FP16 file, and let Skein compress it");
}

Result<CheckpointTensor> read_tensor(const Source& source, ByteReader& reader) {
  const std::string where = at_byte(reader.at());
  const auto rank = reader.read<std::uint32_t>();
  const auto key_bytes = reader.read<std::uint32_t>();
  const auto type = reader.read<std::uint32_t>();
  if (!rank || !key_bytes || !type) return source.corrupt("a tensor's header breaks off", where);
  if (*rank == 0 || *rank > kMaxTensorRank || *key_bytes == 0 || *key_bytes > kMaxTensorName) {
    return source.corrupt("a tensor's header makes no sense", where);
  }
  std::vector<std::uint64_t> shape(*rank);
  for (std::size_t i = *rank; i-- > 0;) {
    const auto dimension = reader.read<std::uint32_t>();
    if (!dimension) return source.corrupt("a tensor's header breaks off", where);
    shape[i] = *dimension;
  }
  const auto key = reader.take(*key_bytes);
  if (!key) return source.corrupt("a tensor's name breaks off", where);
  const std::string what = "tensor " + quoted(as_text(*key));
  TRY(const Format format, format_of(source, *type, what, where));
  const std::uint64_t size = element_bytes(format);
  const auto count = count_elements(shape, reader.left() / size);
  if (!count) return source.corrupt(what + " is larger than the rest of the file", where);
  const auto data = reader.take(*count * size);
  return CheckpointTensor{.name = std::string(as_text(*key)),
                          .shape = narrow_shape(shape),
                          .format = format,
                          .data = *data};
}

// (6, 1, D) -> six tensors (1, 1, D), in place.
Result<void> split_joined(const Source& source, const CheckpointTensor& joined,
                          std::vector<CheckpointTensor>& out) {
  if (joined.shape.size() != 3 || joined.shape[0] != kJoinedParts.size() || joined.shape[1] != 1) {
    return source.corrupt("tensor " + quoted(joined.name) + " is not of shape (6, 1, width)",
                          "shape");
  }
  const std::string prefix = joined.name.substr(0, joined.name.size() - kJoined.size());
  const std::size_t bytes = joined.data.size() / kJoinedParts.size();
  for (std::size_t i = 0; i < kJoinedParts.size(); ++i) {
    out.push_back({.name = prefix + std::string(kJoinedParts[i]),
                   .shape = {1, 1, joined.shape[2]},
                   .format = joined.format,
                   .data = joined.data.subspan(i * bytes, bytes)});
  }
  return {};
}

Result<std::vector<CheckpointTensor>> official(const Source& source,
                                               std::vector<CheckpointTensor> tensors) {
  std::vector<CheckpointTensor> out;
  out.reserve(tensors.size());
  for (CheckpointTensor& tensor : tensors) {
    const auto ends = [&](std::string_view end) { return tensor.name.ends_with(end); };
    if (ends(kJoined)) {
      TRY_VOID(split_joined(source, tensor, out));
      continue;
    }
    if (tensor.shape.size() == 2 && std::ranges::any_of(kTransposed, ends))
      transpose_last_two(tensor);
    out.push_back(std::move(tensor));
  }
  return out;
}

}  // namespace

Result<Checkpoint> read_rwkv_cpp(const Source& source) {
  ByteReader reader(source.bytes);
  std::array<std::uint32_t, 6> header{};
  for (std::uint32_t& field : header) {
    const auto value = reader.read<std::uint32_t>();
    if (!value) return source.corrupt("the rwkv.cpp header is cut short", at_byte(0));
    field = *value;
  }
  if (header[0] != kMagic) return source.corrupt("the rwkv.cpp magic is missing", at_byte(0));
  if (header[1] < kOldestVersion || header[1] > kNewestVersion) {
    return source.unsupported("rwkv.cpp file version " + std::to_string(header[1]) + " is unknown",
                              at_byte(4), "convert the model with rwkv.cpp's current converter");
  }
  TRY_VOID(format_of(source, header[5], "the model", at_byte(20)));
  std::vector<CheckpointTensor> tensors;
  bool is_rwkv7 = false;
  while (reader.left() != 0) {
    if (tensors.size() == kMaxCheckpointTensors) {
      return source.corrupt("there are too many tensors", at_byte(reader.at()));
    }
    TRY(CheckpointTensor tensor, read_tensor(source, reader));
    is_rwkv7 = is_rwkv7 || tensor.name == "blocks.0.att.k_k";
    tensors.push_back(std::move(tensor));
  }
  if (is_rwkv7) {
    TRY(tensors, official(source, std::move(tensors)));
  } else {
    TRY_VOID(restore_older_versions(source, tensors));
  }
  return Checkpoint{.kind = CheckpointKind::kRwkvCpp, .tensors = std::move(tensors)};
}

}  // namespace skein
