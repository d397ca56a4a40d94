// Digest: a SHA-256, the name of every page and manifest. Value; any thread.
// Computing one is common/crypto's work; here is only the word.
#pragma once

#include <array>
#include <compare>
#include <cstring>
#include <functional>
#include <optional>
#include <string>

#include "common/base/bytes.h"

namespace skein {

struct Digest {
  std::array<std::byte, 32> bytes{};
  friend auto operator<=>(const Digest&, const Digest&) = default;
  bool is_zero() const { return *this == Digest{}; }
  std::string hex() const { return to_hex(bytes); }
  std::string short_hex() const { return hex().substr(0, 12); }
  static std::optional<Digest> from_hex(std::string_view hex) {
    const auto raw = skein::from_hex(hex);
    if (!raw || raw->size() != 32) return std::nullopt;
    return from_bytes(*raw);
  }
  // `raw` must hold exactly 32 bytes.
  static std::optional<Digest> from_bytes(ByteView raw) {
    if (raw.size() != 32) return std::nullopt;
    Digest digest;
    std::memcpy(digest.bytes.data(), raw.data(), 32);
    return digest;
  }
};

}  // namespace skein

template <>
struct std::hash<skein::Digest> {
  std::size_t operator()(const skein::Digest& digest) const noexcept {
    std::size_t value;
    std::memcpy(&value, digest.bytes.data(), sizeof value);
    return value;
  }
};
