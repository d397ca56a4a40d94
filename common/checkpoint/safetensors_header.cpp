// safetensors: u64 header length, a JSON object {name: {dtype, shape, data_offsets}}, the data.
#include "common/checkpoint/safetensors_header.h"

#include <algorithm>
#include <boost/json.hpp>

#include "common/checkpoint/internal/source.h"

namespace skein {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxJsonDepth = 8;
constexpr std::size_t kMaxRank = 64;
constexpr std::size_t kLengthBytes = sizeof(std::uint64_t);
constexpr std::string_view kMetadata = "__metadata__";

std::optional<std::vector<std::uint64_t>> sizes_of(const json::value* value) {
  if (value == nullptr || !value->is_array() || value->get_array().size() > kMaxRank) {
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

Result<SafetensorsEntry> read_entry(const Source& source, std::string_view name,
                                    const json::value& value, std::uint64_t data_at) {
  const std::string what = "tensor " + quoted(name);
  const json::object* entry = value.if_object();
  const json::value* dtype = entry != nullptr ? entry->if_contains("dtype") : nullptr;
  if (dtype == nullptr || !dtype->is_string()) {
    return source.corrupt(what + " has no dtype", "header");
  }
  auto shape = sizes_of(entry->if_contains("shape"));
  const auto offsets = sizes_of(entry->if_contains("data_offsets"));
  if (!shape || !offsets || offsets->size() != 2) {
    return source.corrupt(what + " has no proper shape and data_offsets", "header");
  }
  const std::uint64_t begin = offsets->front();
  const std::uint64_t end = offsets->back();
  if (begin > end || end > source.bytes.size() - data_at) {
    return source.corrupt(what + " lies outside the file", "header");
  }
  return SafetensorsEntry{.name = std::string(name),
                          .dtype = std::string(std::string_view(dtype->get_string())),
                          .shape = std::move(*shape),
                          .begin = data_at + begin,
                          .end = data_at + end};
}

Result<void> check_cover(const Source& source, const std::vector<SafetensorsEntry>& entries,
                         std::uint64_t data_at) {
  std::uint64_t expected = data_at;
  for (const SafetensorsEntry& entry : entries) {
    if (entry.begin != expected) {
      return source.corrupt("tensor " + quoted(entry.name) +
                                (entry.begin < expected ? " overlaps another" : " follows a hole"),
                            "header");
    }
    expected = entry.end;
  }
  if (expected == source.bytes.size()) return {};
  return source.corrupt("the data goes on after the last tensor",
                        "data " + at_byte(expected - data_at));
}

Result<std::vector<SafetensorsEntry>> read_parts(const Source& source, std::uint64_t most_bytes) {
  if (source.bytes.size() < kLengthBytes) {
    return source.corrupt("the safetensors header is cut short", at_byte(0));
  }
  const auto header_bytes = load_le<std::uint64_t>(source.bytes, 0);
  if (header_bytes > source.bytes.size() - kLengthBytes || header_bytes > most_bytes) {
    return source.corrupt(
        "the safetensors header claims " + std::to_string(header_bytes) + " bytes", at_byte(0));
  }
  json::parse_options options;
  options.max_depth = kMaxJsonDepth;
  boost::system::error_code wrong;
  const std::string_view text = as_text(source.bytes.subspan(kLengthBytes, header_bytes));
  const json::value header = json::parse(text, wrong, {}, options);
  if (wrong || !header.is_object()) {
    return source.corrupt("the safetensors header is not a JSON object", at_byte(kLengthBytes));
  }
  std::vector<SafetensorsEntry> entries;
  for (const json::key_value_pair& pair : header.get_object()) {
    const std::string_view name(pair.key());
    if (name == kMetadata) continue;
    TRY(SafetensorsEntry one, read_entry(source, name, pair.value(), kLengthBytes + header_bytes));
    entries.push_back(std::move(one));
  }
  std::ranges::sort(entries, {}, [](const SafetensorsEntry& entry) {
    return std::tie(entry.begin, entry.end, entry.name);
  });
  TRY_VOID(check_cover(source, entries, kLengthBytes + header_bytes));
  return entries;
}

}  // namespace

Result<std::vector<SafetensorsEntry>> read_safetensors_header(ByteView file,
                                                              std::string_view file_name,
                                                              std::uint64_t most_bytes) {
  const Source source{file, file_name};
  try {
    return read_parts(source, most_bytes);
  } catch (const std::exception& thrown) {  // Boost.JSON's allocations
    return source.corrupt(std::string("the safetensors header cannot be read: ") + thrown.what(),
                          at_byte(kLengthBytes));
  }
}

}  // namespace skein
