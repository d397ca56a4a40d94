// Bytes: views, owned buffers, little-endian access and hexadecimal. Values; any thread.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/check.h"

namespace skein {

static_assert(std::endian::native == std::endian::little, "formats are read in place");

using ByteView = std::span<const std::byte>;
using MutableByteView = std::span<std::byte>;
using Buffer = std::vector<std::byte>;

inline ByteView as_bytes(std::string_view text) { return std::as_bytes(std::span(text)); }
inline Buffer to_buffer(std::string_view text) {
  const ByteView view = as_bytes(text);
  return Buffer(view.begin(), view.end());
}
inline Buffer to_buffer(ByteView view) { return Buffer(view.begin(), view.end()); }
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The caller has checked that sizeof(T) bytes stand at `offset`; any alignment.
template <class T>
  requires std::is_trivially_copyable_v<T>
T load_le(ByteView bytes, std::size_t offset) {
  CHECK(offset <= bytes.size() && bytes.size() - offset >= sizeof(T));
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}
template <class T>
  requires std::is_trivially_copyable_v<T>
void store_le(MutableByteView bytes, std::size_t offset, T value) {
  CHECK(offset <= bytes.size() && bytes.size() - offset >= sizeof(T));
  std::memcpy(bytes.data() + offset, &value, sizeof(T));
}
template <class T>
  requires std::is_trivially_copyable_v<T>
void append_le(Buffer& out, T value) {
  const std::size_t at = out.size();
  out.resize(at + sizeof(T));
  std::memcpy(out.data() + at, &value, sizeof(T));
}
inline void append(Buffer& out, ByteView more) { out.insert(out.end(), more.begin(), more.end()); }

std::string to_hex(ByteView bytes);
std::optional<Buffer> from_hex(std::string_view hex);  // lower or upper case, even length

}  // namespace skein
