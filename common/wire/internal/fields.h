// Fields: the checks every message field passes on its way in, and the promises on its way out.
// FieldCheck keeps the first objection; later fields are then read as empty. Values; any thread.
#pragma once

#include <capnp/blob.h>

#include <optional>
#include <string>
#include <string_view>

#include "common/base/digest.h"
#include "common/base/result.h"
#include "common/crypto/ed25519.h"
#include "common/wire/messages.h"

namespace skein::wire {

bool is_utf8(std::string_view text);

class FieldCheck {
 public:
  std::string text(capnp::Text::Reader value, const char* field, std::size_t limit = kMaxText);
  Digest digest(capnp::Data::Reader value, const char* field);
  std::optional<Digest> maybe_digest(bool present, capnp::Data::Reader value, const char* field);
  PublicKey key(capnp::Data::Reader value, const char* field);
  // The length to read: 0 once the list is over its limit.
  unsigned length(unsigned length, std::size_t limit, const char* field);
  double finite(double value, const char* field);
  float finite(float value, const char* field);
  void refuse(const char* field, std::string why);

  const std::optional<Error>& objection() const { return objection_; }

 private:
  std::optional<Error> objection_;
};

// Outgoing: CHECKed, because our side made the value.
capnp::Text::Reader out_text(const std::string& value, std::size_t limit = kMaxText);
capnp::Data::Reader out_bytes(ByteView value);
// Words for people (reasons, error texts) may quote anything: invalid UTF-8 becomes '?', and what
// is over kMaxText is cut.
std::string readable(std::string_view words);

}  // namespace skein::wire
