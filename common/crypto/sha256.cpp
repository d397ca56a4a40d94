#include "common/crypto/sha256.h"

#include <openssl/evp.h>

#include "common/base/check.h"

namespace skein {

struct Sha256::Context {
  EVP_MD_CTX* md = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(md); }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  CHECK(context_->md != nullptr);
  CHECK(EVP_DigestInit_ex(context_->md, EVP_sha256(), nullptr) == 1);
}
Sha256::~Sha256() = default;

void Sha256::add(ByteView bytes) {
  CHECK(EVP_DigestUpdate(context_->md, bytes.data(), bytes.size()) == 1);
}

Digest Sha256::finish() {
  Digest digest;
  CHECK(EVP_DigestFinal_ex(context_->md, reinterpret_cast<unsigned char*>(digest.bytes.data()),
                           nullptr) == 1);
  return digest;
}

Digest Sha256::of(ByteView bytes) {
  CHECK(EVP_DigestInit_ex(context_->md, nullptr, nullptr) == 1);
  add(bytes);
  return finish();
}

Digest sha256(ByteView bytes) {
  Sha256 hash;
  hash.add(bytes);
  return hash.finish();
}

}  // namespace skein
