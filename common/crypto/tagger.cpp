#include "common/crypto/tagger.h"

#include <openssl/evp.h>

#include "common/base/check.h"

namespace skein {

struct Tagger::Context {
  explicit Context(const TagKey& of) : key(of) {
    EVP_MAC* const algorithm = EVP_MAC_fetch(nullptr, "POLY1305", nullptr);
    CHECK(algorithm != nullptr);
    mac = EVP_MAC_CTX_new(algorithm);
    EVP_MAC_free(algorithm);  // the context holds it
    CHECK(mac != nullptr);
  }
  ~Context() { EVP_MAC_CTX_free(mac); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  TagKey key;
  EVP_MAC_CTX* mac = nullptr;
};

Tagger::Tagger(const TagKey& key) : context_(std::make_unique<Context>(key)) {}
Tagger::~Tagger() = default;
Tagger::Tagger(Tagger&&) noexcept = default;

Tag Tagger::of(ByteView bytes) {
  const auto* const key = reinterpret_cast<const unsigned char*>(context_->key.data());
  const auto* const data = reinterpret_cast<const unsigned char*>(bytes.data());
  Tag tag;
  std::size_t size = 0;
  CHECK(EVP_MAC_init(context_->mac, key, context_->key.size(), nullptr) == 1);
  CHECK(EVP_MAC_update(context_->mac, data, bytes.size()) == 1);
  CHECK(EVP_MAC_final(context_->mac, reinterpret_cast<unsigned char*>(tag.data()), &size,
                      tag.size()) == 1);
  CHECK(size == tag.size());
  return tag;
}

}  // namespace skein
