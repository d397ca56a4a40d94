// Tagger: short sums of bytes that were verified once, to tell later whether storage gives the same
// again: Poly1305 (Bernstein 2005), several times as fast as SHA-256. Worth something only while
// neither the key nor a tag leaves the process: then other bytes with the same tag are found with
// chance 2^-100 at most. One thread.
#pragma once

#include <array>
#include <memory>
#include <span>

#include "common/base/bytes.h"

namespace skein {

using Tag = std::array<std::byte, 16>;
using TagKey = std::array<std::byte, 32>;  // random, of one process

class Tagger {
 public:
  explicit Tagger(const TagKey& key);
  ~Tagger();
  Tagger(Tagger&&) noexcept;
  Tag of(ByteView bytes);

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace skein
