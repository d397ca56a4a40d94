// GGUF, versions 2 and 3: magic, u32 version, u64 tensors, u64 keys; the metadata; per tensor a
// text, u32 dimensions, u64 each (innermost first), u32 type, u64 offset; padding; the data, each
// tensor at its offset, which is a multiple of the alignment.
#include <algorithm>
#include <array>
#include <bit>
#include <limits>

#include "common/checkpoint/internal/gguf_metadata.h"
#include "common/checkpoint/internal/gguf_names.h"
#include "common/checkpoint/internal/gguf_vocabulary.h"
#include "common/checkpoint/internal/official.h"
#include "common/checkpoint/internal/readers.h"

namespace skein {
namespace {

constexpr std::uint32_t kOldestVersion = 2;
constexpr std::uint32_t kNewestVersion = 3;
constexpr std::uint32_t kMaxDimensions = 4;
constexpr std::uint64_t kDefaultAlignment = 32;
constexpr std::uint64_t kMaxAlignment = 1U << 20;
constexpr std::uint32_t kMaxHeadSize = 1U << 15;
constexpr double kNormEpsilon = 1e-5;  // what the engine adds to a variance, and every RWKV release

struct ElementType {
  std::uint32_t number = 0;
  Format format = Format::kF32;
  Packing packing = Packing::kNone;
};
constexpr std::array kTypes = {
    ElementType{0, Format::kF32, Packing::kNone},   ElementType{1, Format::kF16, Packing::kNone},
    ElementType{30, Format::kBf16, Packing::kNone}, ElementType{2, Format::kF32, Packing::kQ4_0},
    ElementType{3, Format::kF32, Packing::kQ4_1},   ElementType{6, Format::kF32, Packing::kQ5_0},
    ElementType{7, Format::kF32, Packing::kQ5_1},   ElementType{8, Format::kF32, Packing::kQ8_0},
    ElementType{12, Format::kF32, Packing::kQ4K},   ElementType{13, Format::kF32, Packing::kQ5K},
    ElementType{14, Format::kF32, Packing::kQ6K},
};

struct Placed {
  CheckpointTensor tensor;
  std::vector<std::uint64_t> shape;  // outermost first
  std::uint64_t offset = 0;
};

Result<Placed> read_info(const Source& source, ByteReader& reader) {
  const std::string where = at_byte(reader.at());
  TRY(const std::string_view name, read_gguf_text(source, reader, "a tensor's name"));
  const std::string what = "tensor " + quoted(name);
  const auto breaks_off = [&] { return source.corrupt(what + " breaks off", where); };
  Placed placed;
  placed.tensor.name = name;
  const auto rank = reader.read<std::uint32_t>();
  if (!rank) return breaks_off();
  if (*rank == 0 || *rank > kMaxDimensions || name.size() > kMaxTensorName) {
    return source.corrupt(what + " has a header that makes no sense", where);
  }
  placed.shape.resize(*rank);
  for (std::size_t i = *rank; i-- > 0;) {
    const auto size = reader.read<std::uint64_t>();
    if (!size) return breaks_off();
    placed.shape[i] = *size;
  }
  const auto type = reader.read<std::uint32_t>();
  const auto offset = reader.read<std::uint64_t>();
  if (!type || !offset) return breaks_off();
  placed.offset = *offset;
  const auto found = std::ranges::find(kTypes, *type, &ElementType::number);
  if (found == kTypes.end()) {
    return source.unsupported(
        what + " is of ggml type " + std::to_string(*type) + ", which Skein does not read", where,
        "use a file of F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K or Q6_K");
  }
  placed.tensor.format = found->format;
  placed.tensor.packing = found->packing;
  return placed;
}

Result<std::vector<CheckpointTensor>> place_all(const Source& source, std::vector<Placed> infos,
                                                ByteView data, std::uint64_t alignment) {
  std::vector<const Placed*> by_offset;
  for (Placed& info : infos) {
    const std::string what = "tensor " + quoted(info.tensor.name);
    const std::string where = "data " + at_byte(info.offset);
    if (info.offset % alignment != 0) return source.corrupt(what + " is not aligned", where);
    if (info.offset > data.size()) return source.corrupt(what + " lies outside the file", where);
    ByteReader reader(data, info.offset);
    TRY_VOID(place_elements(source, what, where, info.shape, reader, info.tensor));
    by_offset.push_back(&info);
  }
  std::ranges::sort(by_offset, {}, &Placed::offset);
  std::uint64_t end = 0;
  for (const Placed* info : by_offset) {
    if (info->offset < end) {
      return source.corrupt("tensor " + quoted(info->tensor.name) + " overlaps another",
                            "data " + at_byte(info->offset));
    }
    end = info->offset + info->tensor.data.size();
  }
  std::vector<CheckpointTensor> tensors;
  tensors.reserve(infos.size());
  for (Placed& info : infos) tensors.push_back(std::move(info.tensor));
  return tensors;
}

Result<std::uint64_t> alignment_of(const Source& source, const GgufMetadata& metadata) {
  TRY(const auto alignment, metadata.whole_number(source, "general.alignment"));
  if (!alignment) return kDefaultAlignment;
  if (!std::has_single_bit(*alignment) || *alignment > kMaxAlignment) {
    return source.corrupt("the alignment is " + std::to_string(*alignment), "general.alignment");
  }
  return *alignment;
}

Result<void> refuse_parts(const Source& source, const GgufMetadata& metadata) {
  TRY(const auto parts, metadata.whole_number(source, "split.count"));
  if (!parts || *parts <= 1) return {};
  return source.unsupported(
      "this is one of the " + std::to_string(*parts) + " files that a model was split into",
      "split.count", "join them with llama-gguf-split --merge");
}

Result<GgufModel> describe(const Source& source, const GgufMetadata& metadata) {
  TRY(const auto architecture, metadata.text(source, "general.architecture"));
  const std::string name(architecture.value_or(""));
  if (name != "rwkv6" && name != "rwkv7") {
    return source.unsupported("the model's architecture is " + quoted(name), "general.architecture",
                              "name a GGUF file of RWKV 6 or 7 (rwkv6, rwkv7)");
  }
  GgufModel model;
  model.architecture = name == "rwkv7" ? GgufArchitecture::kRwkv7 : GgufArchitecture::kRwkv6;
  TRY(const auto head_size, metadata.whole_number(source, name + ".wkv.head_size"));
  if (!head_size || *head_size == 0 || *head_size > kMaxHeadSize) {
    return source.corrupt("the head size is missing or absurd", name + ".wkv.head_size");
  }
  model.head_size = static_cast<std::uint32_t>(*head_size);
  TRY(model.layers, metadata.whole_number(source, name + ".block_count"));
  TRY(const auto epsilon, metadata.number(source, name + ".attention.layer_norm_epsilon"));
  if (epsilon && !(*epsilon > kNormEpsilon * 0.999 && *epsilon < kNormEpsilon * 1.001)) {
    return source.unsupported("the layer norms' epsilon is " + std::to_string(*epsilon) +
                                  ", where every RWKV release has 0.00001",
                              name + ".attention.layer_norm_epsilon", "use an RWKV release");
  }
  if (model.architecture != GgufArchitecture::kRwkv6) return model;
  TRY(const auto every, metadata.whole_number(source, name + ".rescale_every_n_layers"));
  model.rescale_every = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(every.value_or(0), std::numeric_limits<std::uint32_t>::max()));
  return model;
}

Result<void> check_version(const Source& source, std::uint32_t version) {
  if (version >= kOldestVersion && version <= kNewestVersion) return {};
  const bool big_endian = version != 0 && (version & 0xFFFFU) == 0;
  return source.unsupported(big_endian ? "this GGUF file is big-endian"
                                       : "GGUF version " + std::to_string(version) + " is unknown",
                            at_byte(4), "convert the model with a current llama.cpp");
}

}  // namespace

Result<Checkpoint> read_gguf(const Source& source) {
  ByteReader reader(source.bytes, sizeof(std::uint32_t));
  const auto version = reader.read<std::uint32_t>();
  if (!version) return source.corrupt("the GGUF header is cut short", at_byte(0));
  TRY_VOID(check_version(source, *version));
  const auto tensor_count = reader.read<std::uint64_t>();
  const auto key_count = reader.read<std::uint64_t>();
  if (!tensor_count || !key_count) {
    return source.corrupt("the GGUF header is cut short", at_byte(0));
  }
  TRY(const GgufMetadata metadata, GgufMetadata::read(source, reader, *key_count));
  TRY_VOID(refuse_parts(source, metadata));
  TRY(const GgufModel model, describe(source, metadata));
  TRY(const std::uint64_t alignment, alignment_of(source, metadata));
  if (*tensor_count > kMaxCheckpointTensors) {
    return source.corrupt("the header claims " + std::to_string(*tensor_count) + " tensors",
                          at_byte(8));
  }
  std::vector<Placed> infos;
  for (std::uint64_t i = 0; i < *tensor_count; ++i) {
    TRY(Placed info, read_info(source, reader));
    infos.push_back(std::move(info));
  }
  const std::uint64_t padding = (alignment - reader.at() % alignment) % alignment;
  if (!infos.empty() && !reader.take(padding)) {
    return source.corrupt("the file ends before the tensors' data", at_byte(reader.at()));
  }
  Checkpoint checkpoint{.kind = CheckpointKind::kGguf, .tensors = {}};
  TRY(checkpoint.tensors,
      place_all(source, std::move(infos), source.bytes.subspan(reader.at()), alignment));
  TRY(checkpoint.tensors, official_tensors(source, model, std::move(checkpoint.tensors)));
  TRY(checkpoint.vocabulary, read_gguf_vocabulary(source, metadata));
  return checkpoint;
}

}  // namespace skein
