#include "common/crypto/ed25519.h"

#include "common/base/check.h"
#include "common/crypto/internal/openssl.h"

namespace skein {

using namespace internal;

static unsigned char* raw(std::byte* bytes) { return reinterpret_cast<unsigned char*>(bytes); }
static const unsigned char* raw(const std::byte* bytes) {
  return reinterpret_cast<const unsigned char*>(bytes);
}

PublicKey SigningKey::public_key() const {
  PublicKey key;
  CHECK(raw_public_key(private_key(*this).get(), key));
  return key;
}

Signature sign(const SigningKey& key, ByteView message) {
  const QuietErrors quiet;
  const OwnedKey secret = private_key(key);
  const OwnedSigner signer(EVP_MD_CTX_new());
  CHECK(signer != nullptr);
  CHECK(EVP_DigestSignInit(signer.get(), nullptr, nullptr, nullptr, secret.get()) == 1);
  Signature signature;
  std::size_t size = signature.size();
  CHECK(EVP_DigestSign(signer.get(), raw(signature.data()), &size, raw(message.data()),
                       message.size()) == 1);
  CHECK(size == signature.size());
  return signature;
}

bool verify(const PublicKey& key, ByteView message, const Signature& signature) {
  const QuietErrors quiet;
  const OwnedKey known = public_key(key);
  const OwnedSigner verifier(EVP_MD_CTX_new());
  CHECK(verifier != nullptr);
  return known != nullptr &&
         EVP_DigestVerifyInit(verifier.get(), nullptr, nullptr, nullptr, known.get()) == 1 &&
         EVP_DigestVerify(verifier.get(), raw(signature.data()), signature.size(),
                          raw(message.data()), message.size()) == 1;
}

std::string to_pem(const SigningKey& key) {
  const QuietErrors quiet;
  const OwnedBio bio = writing_bio();
  const OwnedKey secret = private_key(key);
  CHECK(PEM_write_bio_PKCS8PrivateKey(bio.get(), secret.get(), nullptr, nullptr, 0, nullptr,
                                      nullptr) == 1);
  return text_of(*bio);
}

std::string to_pem(const PublicKey& key) {
  const QuietErrors quiet;
  const OwnedBio bio = writing_bio();
  const OwnedKey known = public_key(key);
  CHECK(known != nullptr && PEM_write_bio_PUBKEY(bio.get(), known.get()) == 1);
  return text_of(*bio);
}

static tl::unexpected<Error> not_a_key(const char* kind) {
  return fail(Errc::kCorrupt, std::string("this is not an Ed25519 ") + kind + " key in PEM form",
              {}, "make a pair with `skein keys new`");
}

Result<SigningKey> signing_key_from_pem(std::string_view pem) {
  const QuietErrors quiet;
  if (pem.size() > kMaxPemBytes) return not_a_key("private");
  const OwnedBio bio = reading_bio(pem);
  const OwnedKey secret(PEM_read_bio_PrivateKey(bio.get(), nullptr, refuse_passphrase, nullptr));
  if (secret == nullptr || EVP_PKEY_get_base_id(secret.get()) != EVP_PKEY_ED25519) {
    return not_a_key("private");
  }
  SigningKey key;
  std::size_t size = key.seed.size();
  if (EVP_PKEY_get_raw_private_key(secret.get(), raw(key.seed.data()), &size) != 1 ||
      size != key.seed.size()) {
    return not_a_key("private");
  }
  return key;
}

Result<PublicKey> public_key_from_pem(std::string_view pem) {
  const QuietErrors quiet;
  if (pem.size() > kMaxPemBytes) return not_a_key("public");
  const OwnedBio bio = reading_bio(pem);
  const OwnedKey known(PEM_read_bio_PUBKEY(bio.get(), nullptr, refuse_passphrase, nullptr));
  PublicKey key;
  if (!raw_public_key(known.get(), key)) return not_a_key("public");
  return key;
}

}  // namespace skein
