#include "common/checkpoint/internal/gguf_metadata.h"

#include <array>

namespace skein {
namespace {

constexpr std::uint64_t kMaxKeys = 1U << 16;

enum Type : std::uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kText = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12
};
// Bytes of a scalar by its type; 0 = it is none.
constexpr std::array<std::uint32_t, 13> kScalarBytes = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

std::uint32_t scalar_bytes(std::uint32_t type) {
  return type < kScalarBytes.size() ? kScalarBytes[type] : 0;
}

std::string key_text(std::string_view key) { return "key " + quoted(key); }

tl::unexpected<Error> wrong_kind(const Source& source, std::string_view key,
                                 const std::string& expected) {
  return source.corrupt(key_text(key) + " is not " + expected, "metadata");
}

}  // namespace

Result<std::string_view> read_gguf_text(const Source& source, ByteReader& reader,
                                        const std::string& what) {
  const std::string where = at_byte(reader.at());
  const auto length = reader.read<std::uint64_t>();
  const auto bytes = length ? reader.take(*length) : std::nullopt;
  if (!bytes) return source.corrupt(what + " breaks off", where);
  return as_text(*bytes);
}

Result<GgufMetadata::Value> GgufMetadata::read_value(const Source& source, ByteReader& reader,
                                                     const std::string& what) {
  const std::string where = at_byte(reader.at());
  const auto breaks_off = [&] { return source.corrupt(what + " breaks off", where); };
  Value value;
  auto type = reader.read<std::uint32_t>();
  if (!type) return breaks_off();
  if (*type == kArray) {
    value.is_array = true;
    type = reader.read<std::uint32_t>();
    const auto count = reader.read<std::uint64_t>();
    if (!type || !count) return breaks_off();
    value.count = *count;
  }
  value.type = *type;
  const std::uint32_t size = scalar_bytes(*type);
  if (size == 0 && *type != kText) {
    return source.corrupt(what + " has unknown type " + std::to_string(*type), where);
  }
  if (size != 0) {
    if (value.count > reader.left() / size) return breaks_off();
    value.bytes = *reader.take(value.count * size);
    return value;
  }
  if (!value.is_array) {
    TRY(const std::string_view text, read_gguf_text(source, reader, what));
    value.bytes = as_bytes(text);
    return value;
  }
  const std::size_t first = reader.at();
  for (std::uint64_t i = 0; i < value.count; ++i) {  // each costs the file eight bytes or more
    TRY_VOID(read_gguf_text(source, reader, what));
  }
  value.bytes = source.bytes.subspan(first, reader.at() - first);
  return value;
}

Result<GgufMetadata> GgufMetadata::read(const Source& source, ByteReader& reader,
                                        std::uint64_t count) {
  if (count > kMaxKeys) {
    return source.corrupt("the header claims " + std::to_string(count) + " keys", at_byte(16));
  }
  GgufMetadata metadata;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string number = "key " + std::to_string(i + 1) + " of " + std::to_string(count);
    TRY(const std::string_view key, read_gguf_text(source, reader, number));
    TRY(const Value value, read_value(source, reader, key_text(key)));
    if (!metadata.values_.emplace(key, value).second) {
      return source.corrupt(key_text(key) + " is there twice", "metadata");
    }
  }
  return metadata;
}

const GgufMetadata::Value* GgufMetadata::find(std::string_view key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : &found->second;
}

Result<std::optional<std::uint64_t>> GgufMetadata::whole_number(const Source& source,
                                                                std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_array) {
    if (value->type == kU8 || value->type == kBool) return load_le<std::uint8_t>(value->bytes, 0);
    if (value->type == kU16) return load_le<std::uint16_t>(value->bytes, 0);
    if (value->type == kU32) return load_le<std::uint32_t>(value->bytes, 0);
    if (value->type == kU64) return load_le<std::uint64_t>(value->bytes, 0);
    if (value->type == kI32 && load_le<std::int32_t>(value->bytes, 0) >= 0) {
      return load_le<std::uint32_t>(value->bytes, 0);
    }
  }
  return wrong_kind(source, key, "a whole number");
}

Result<std::optional<double>> GgufMetadata::number(const Source& source,
                                                   std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_array && value->type == kF32) return double{load_le<float>(value->bytes, 0)};
  if (!value->is_array && value->type == kF64) return load_le<double>(value->bytes, 0);
  return wrong_kind(source, key, "a number");
}

Result<std::optional<std::string_view>> GgufMetadata::text(const Source& source,
                                                           std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_array || value->type != kText) return wrong_kind(source, key, "a text");
  return as_text(value->bytes);
}

Result<std::optional<std::vector<std::string_view>>> GgufMetadata::texts(
    const Source& source, std::string_view key, std::uint64_t max_count) const {
  const Value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_array || value->type != kText || value->count > max_count) {
    return wrong_kind(source, key, "a list of at most " + std::to_string(max_count) + " texts");
  }
  std::vector<std::string_view> texts;
  texts.reserve(value->count);
  ByteReader reader(value->bytes);
  for (std::uint64_t i = 0; i < value->count; ++i) {
    TRY(const std::string_view text, read_gguf_text(source, reader, key_text(key)));
    texts.push_back(text);
  }
  return texts;
}

Result<std::optional<std::vector<std::int32_t>>> GgufMetadata::integers(
    const Source& source, std::string_view key, std::uint64_t max_count) const {
  const Value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_array || value->type != kI32 || value->count > max_count) {
    return wrong_kind(source, key, "a list of at most " + std::to_string(max_count) + " integers");
  }
  std::vector<std::int32_t> integers(value->count);
  for (std::size_t i = 0; i < integers.size(); ++i) {
    integers[i] = load_le<std::int32_t>(value->bytes, i * sizeof(std::int32_t));
  }
  return integers;
}

}  // namespace skein
