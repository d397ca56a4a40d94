// SHA-256 by OpenSSL: the name of every page and manifest. Any thread.
#pragma once

#include <memory>

#include "common/base/bytes.h"
#include "common/base/digest.h"

namespace skein {

Digest sha256(ByteView bytes);

// Hashing piece by piece, for bytes that never stand together. One thread.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void add(ByteView bytes);
  Digest finish();
  // Of these bytes alone, whatever was added before; allocates nothing.
  Digest of(ByteView bytes);  // once

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace skein
