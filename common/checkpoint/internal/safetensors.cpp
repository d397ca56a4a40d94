// safetensors: u64 header length, a JSON object {name: {dtype, shape, data_offsets}}, the data.
// The data must be covered without hole or overlap, as the format asks.
#include <algorithm>
#include <boost/json.hpp>

#include "common/checkpoint/internal/readers.h"

namespace skein {
namespace {

namespace json = boost::json;

constexpr std::uint64_t kMaxHeaderBytes = 16U << 20;
constexpr std::size_t kMaxJsonDepth = 8;
constexpr std::string_view kMetadata = "__metadata__";

struct Placed {
  CheckpointTensor tensor;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

std::optional<Format> format_of(std::string_view dtype) {
  if (dtype == "F32") return Format::kF32;
  if (dtype == "F16") return Format::kF16;
  if (dtype == "BF16") return Format::kBf16;
  return std::nullopt;
}

std::optional<std::vector<std::uint64_t>> sizes_of(const json::value* value) {
  if (value == nullptr || !value->is_array() || value->get_array().size() > kMaxTensorRank) {
    return std::nullopt;
  }
  std::vector<std::uint64_t> sizes;
  for (const json::value& item : value->get_array()) {
    boost::system::error_code wrong;
    sizes.push_back(item.to_number<std::uint64_t>(wrong));
    if (wrong || item.is_double()) return std::nullopt;
  }
  return sizes;
}

Result<Placed> read_entry(const Source& source, std::string_view name, const json::value& value,
                          ByteView data) {
  const std::string what = "tensor " + quoted(name);
  const std::string where = "header";
  const json::object* entry = value.if_object();
  const json::value* dtype = entry != nullptr ? entry->if_contains("dtype") : nullptr;
  if (dtype == nullptr || !dtype->is_string()) {
    return source.corrupt(what + " has no dtype", where);
  }
  const auto format = format_of(std::string_view(dtype->get_string()));
  if (!format) {
    return source.unsupported(what + " has dtype " + quoted(std::string_view(dtype->get_string())),
                              where, "save the model with F32, F16 or BF16 tensors");
  }
  const auto shape = sizes_of(entry->if_contains("shape"));
  const auto offsets = sizes_of(entry->if_contains("data_offsets"));
  if (!shape || !offsets || offsets->size() != 2) {
    return source.corrupt(what + " has no proper shape and data_offsets", where);
  }
  const std::uint64_t begin = offsets->front();
  const std::uint64_t end = offsets->back();
  if (begin > end || end > data.size()) {
    return source.corrupt(what + " lies outside the file", where);
  }
  const std::uint64_t size = element_bytes(*format);
  const auto count = count_elements(*shape, (end - begin) / size);
  if (!count || *count * size != end - begin) {
    return source.corrupt(what + " has a shape that does not fit its bytes", where);
  }
  return Placed{.tensor = {.name = std::string(name),
                           .shape = narrow_shape(*shape),
                           .format = *format,
                           .data = data.subspan(begin, end - begin)},
                .begin = begin,
                .end = end};
}

Result<Checkpoint> in_file_order(const Source& source, std::vector<Placed> placed,
                                 std::uint64_t data_bytes) {
  std::ranges::sort(placed, {}, &Placed::begin);
  Checkpoint checkpoint{.kind = CheckpointKind::kSafetensors, .tensors = {}};
  std::uint64_t expected = 0;
  for (Placed& one : placed) {
    if (one.begin != expected) {
      return source.corrupt("tensor " + quoted(one.tensor.name) +
                                (one.begin < expected ? " overlaps another" : " follows a hole"),
                            "header");
    }
    expected = one.end;
    checkpoint.tensors.push_back(std::move(one.tensor));
  }
  if (expected != data_bytes) {
    return source.corrupt("the data goes on after the last tensor", "data " + at_byte(expected));
  }
  return checkpoint;
}

Result<Checkpoint> read_parts(const Source& source) {
  if (source.bytes.size() < sizeof(std::uint64_t)) {
    return source.corrupt("the safetensors header is cut short", at_byte(0));
  }
  const auto header_bytes = load_le<std::uint64_t>(source.bytes, 0);
  if (header_bytes > source.bytes.size() - 8 || header_bytes > kMaxHeaderBytes) {
    return source.corrupt(
        "the safetensors header claims " + std::to_string(header_bytes) + " bytes", at_byte(0));
  }
  json::parse_options options;
  options.max_depth = kMaxJsonDepth;
  boost::system::error_code wrong;
  const std::string_view text = as_text(source.bytes.subspan(8, header_bytes));
  const json::value header = json::parse(text, wrong, {}, options);
  if (wrong || !header.is_object()) {
    return source.corrupt("the safetensors header is not a JSON object", at_byte(8));
  }
  const ByteView data = source.bytes.subspan(8 + header_bytes);
  std::vector<Placed> placed;
  for (const json::key_value_pair& pair : header.get_object()) {
    const std::string_view name(pair.key());
    if (name == kMetadata) continue;
    TRY(Placed one, read_entry(source, name, pair.value(), data));
    placed.push_back(std::move(one));
  }
  return in_file_order(source, std::move(placed), data.size());
}

}  // namespace

Result<Checkpoint> read_safetensors(const Source& source) {
  try {
    return read_parts(source);
  } catch (const std::exception& thrown) {  // Boost.JSON's allocations
    return source.corrupt(std::string("the safetensors header cannot be read: ") + thrown.what(),
                          at_byte(8));
  }
}

}  // namespace skein
