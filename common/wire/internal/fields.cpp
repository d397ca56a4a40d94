#include "common/wire/internal/fields.h"

#include <cmath>
#include <cstring>

#include "common/base/check.h"

namespace skein::wire {
namespace {

// Bytes of the well-formed sequence that begins `text`, or 0 (RFC 3629: no surrogates, no overlong
// forms, nothing above U+10FFFF).
std::size_t sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const unsigned char second = byte(1);
  if (lead == 0xE0 && second < 0xA0) return 0;
  if (lead == 0xED && second > 0x9F) return 0;
  if (lead == 0xF0 && second < 0x90) return 0;
  if (lead == 0xF4 && second > 0x8F) return 0;
  return length;
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string readable(std::string_view words) {
  std::string out;
  while (!words.empty()) {
    const std::size_t length = sequence_length(words);
    const std::size_t taken = length == 0 ? 1 : length;
    if (out.size() + taken > kMaxText) break;
    if (length == 0) {
      out += '?';
    } else {
      out += words.substr(0, length);
    }
    words.remove_prefix(taken);
  }
  return out;
}

void FieldCheck::refuse(const char* field, std::string why) {
  if (!objection_) objection_ = Error{Errc::kCorrupt, std::move(why), field, {}};
}

std::string FieldCheck::text(capnp::Text::Reader value, const char* field, std::size_t limit) {
  if (objection_) return {};
  if (value.size() > limit) {
    refuse(field, "a text is longer than " + std::to_string(limit) + " bytes");
    return {};
  }
  std::string out(value.begin(), value.size());
  if (!is_utf8(out)) {
    refuse(field, "a text is not UTF-8");
    return {};
  }
  return out;
}

Digest FieldCheck::digest(capnp::Data::Reader value, const char* field) {
  const auto digest = Digest::from_bytes(std::as_bytes(std::span(value.begin(), value.size())));
  if (!digest) {
    refuse(field, "a digest has " + std::to_string(value.size()) + " bytes instead of 32");
    return {};
  }
  return *digest;
}

std::optional<Digest> FieldCheck::maybe_digest(bool present, capnp::Data::Reader value,
                                               const char* field) {
  if (!present) return std::nullopt;
  return digest(value, field);
}

PublicKey FieldCheck::key(capnp::Data::Reader value, const char* field) {
  PublicKey key{};
  if (value.size() != key.size()) {
    refuse(field, "a public key has " + std::to_string(value.size()) + " bytes instead of 32");
    return key;
  }
  std::memcpy(key.data(), value.begin(), key.size());
  return key;
}

unsigned FieldCheck::length(unsigned length, std::size_t limit, const char* field) {
  if (length > limit) {
    refuse(field,
           "a list has " + std::to_string(length) + " entries, more than " + std::to_string(limit));
  }
  return objection_ ? 0 : length;
}

double FieldCheck::finite(double value, const char* field) {
  if (!std::isfinite(value)) refuse(field, "a number is not finite");
  return value;
}

float FieldCheck::finite(float value, const char* field) {
  if (!std::isfinite(value)) refuse(field, "a number is not finite");
  return value;
}

capnp::Text::Reader out_text(const std::string& value, std::size_t limit) {
  CHECK(value.size() <= limit);
  CHECK(is_utf8(value));
  return {value.data(), value.size()};
}

capnp::Data::Reader out_bytes(ByteView value) {
  return {reinterpret_cast<const capnp::byte*>(value.data()), value.size()};
}

}  // namespace skein::wire
