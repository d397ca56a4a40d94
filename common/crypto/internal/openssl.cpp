#include "common/crypto/internal/openssl.h"

#include "common/base/check.h"

namespace skein::internal {

static const unsigned char* raw(const std::byte* bytes) {
  return reinterpret_cast<const unsigned char*>(bytes);
}

OwnedKey private_key(const SigningKey& key) {
  OwnedKey made(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, raw(key.seed.data()),
                                             key.seed.size()));
  CHECK(made != nullptr);  // every 32 bytes are a seed
  return made;
}

OwnedKey public_key(const PublicKey& key) {
  return OwnedKey(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, raw(key.data()), key.size()));
}

bool raw_public_key(const EVP_PKEY* key, PublicKey& out) {
  if (key == nullptr || EVP_PKEY_get_base_id(key) != EVP_PKEY_ED25519) return false;
  std::size_t size = out.size();
  return EVP_PKEY_get_raw_public_key(key, reinterpret_cast<unsigned char*>(out.data()), &size) ==
             1 &&
         size == out.size();
}

OwnedBio reading_bio(std::string_view text) {
  CHECK(text.size() <= kMaxPemBytes);
  OwnedBio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  CHECK(bio != nullptr);
  return bio;
}

OwnedBio writing_bio() {
  OwnedBio bio(BIO_new(BIO_s_mem()));
  CHECK(bio != nullptr);
  return bio;
}

std::string text_of(BIO& bio) {
  char* text = nullptr;
  const long size = BIO_get_mem_data(&bio, &text);
  CHECK(size >= 0);
  return {text, static_cast<std::size_t>(size)};
}

int refuse_passphrase(char*, int, int, void*) { return -1; }

}  // namespace skein::internal
