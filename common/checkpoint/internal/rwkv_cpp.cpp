// rwkv.cpp's file (its FILE_FORMAT.md): six u32 {magic, version, vocab, width, layers, data type},
// then per tensor three u32 {dimensions, key bytes, data type}, the dimensions innermost first, the
// key, the elements. Its converter changes some tensors; that is undone here (rwkv_cpp_versions.cpp
// for versions 4 to 6). RWKV-7: the six token-shift vectors are joined as "x_rwkvag" (r, w, k, v,
// a, g), and the LoRA matrices w1 w2 a1 a2 v1 v2 g1 g2 are transposed.
#include <algorithm>
#include <array>

#include "common/checkpoint/internal/official.h"
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
struct ElementType {
  std::string_view name;
  Format format = Format::kF32;
  Packing packing = Packing::kNone;
  bool is_read = true;
};
constexpr std::array kTypes = {
    ElementType{"FP32"},
    ElementType{"FP16", Format::kF16},
    ElementType{"Q4_0", Format::kF32, Packing::kQ4_0},
    ElementType{"Q4_1", Format::kF32, Packing::kQ4_1},
    ElementType{.name = "Q4_1_O", .is_read = false},
    ElementType{.name = "Q4_2", .is_read = false},
    ElementType{.name = "Q4_3", .is_read = false},
    ElementType{"Q5_0", Format::kF32, Packing::kQ5_0},
    ElementType{"Q5_1", Format::kF32, Packing::kQ5_1},
    ElementType{"Q8_0", Format::kF32, Packing::kQ8_0},
    ElementType{.name = "Q8_1", .is_read = false},
    ElementType{.name = "Q2_K", .is_read = false},
    ElementType{.name = "Q3_K", .is_read = false},
    ElementType{"Q4_K", Format::kF32, Packing::kQ4K},
    ElementType{"Q5_K", Format::kF32, Packing::kQ5K},
    ElementType{"Q6_K", Format::kF32, Packing::kQ6K},
    ElementType{.name = "Q8_K", .is_read = false},
};
constexpr const char* kConvertAgain =
    "quantize the FP16 file again with rwkv.cpp of 2025, or use the FP16 file";

// Block layouts changed with version 101; FP32 and FP16 did not.
Result<ElementType> type_of(const Source& source, std::uint32_t version, std::uint32_t type,
                            const std::string& what, const std::string& where) {
  if (type >= kTypes.size()) {
    return source.corrupt(what + " has unknown data type " + std::to_string(type), where);
  }
  const ElementType& found = kTypes[type];
  if (!found.is_read) {
    return source.unsupported(
        what + " is quantized as " + std::string(found.name) + ", which Skein does not read", where,
        "use the FP32 or FP16 file, and let Skein compress it");
  }
  if (found.packing != Packing::kNone && version == kOldestVersion) {
    return source.unsupported(what + " is quantized in blocks of before May 2023", where,
                              kConvertAgain);
  }
  return found;
}

Result<CheckpointTensor> read_tensor(const Source& source, std::uint32_t version,
                                     ByteReader& reader) {
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
  TRY(const ElementType found, type_of(source, version, *type, what, where));
  CheckpointTensor tensor{
      .name = std::string(as_text(*key)), .format = found.format, .packing = found.packing};
  TRY_VOID(place_elements(source, what, where, shape, reader, tensor));
  return tensor;
}

Result<std::vector<CheckpointTensor>> official(const Source& source,
                                               std::vector<CheckpointTensor> tensors) {
  std::vector<CheckpointTensor> out;
  out.reserve(tensors.size());
  for (CheckpointTensor& tensor : tensors) {
    const auto ends = [&](std::string_view end) { return tensor.name.ends_with(end); };
    if (ends(kJoined)) {
      const std::string prefix = tensor.name.substr(0, tensor.name.size() - kJoined.size());
      TRY_VOID(split_joined(source, tensor, prefix, kJoinedParts, out));
      continue;
    }
    if (tensor.shape.size() == 2 && std::ranges::any_of(kTransposed, ends)) mark_swapped(tensor);
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
  TRY_VOID(type_of(source, header[1], header[5], "the model", at_byte(20)));
  std::vector<CheckpointTensor> tensors;
  bool is_rwkv7 = false;
  while (reader.left() != 0) {
    if (tensors.size() == kMaxCheckpointTensors) {
      return source.corrupt("there are too many tensors", at_byte(reader.at()));
    }
    TRY(CheckpointTensor tensor, read_tensor(source, header[1], reader));
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
