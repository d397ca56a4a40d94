// Owners for OpenSSL's objects, and the few steps that every file of this room takes with them.
// Values; any thread.
#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>

#include "common/crypto/ed25519.h"

namespace skein::internal {

template <auto Free>
struct FreeWith {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
template <class T, auto Free>
using Owned = std::unique_ptr<T, FreeWith<Free>>;

using OwnedBio = Owned<BIO, BIO_free_all>;
using OwnedKey = Owned<EVP_PKEY, EVP_PKEY_free>;
using OwnedSigner = Owned<EVP_MD_CTX, EVP_MD_CTX_free>;
using OwnedCertificate = Owned<X509, X509_free>;
using OwnedRequest = Owned<X509_REQ, X509_REQ_free>;
using OwnedExtension = Owned<X509_EXTENSION, X509_EXTENSION_free>;
using OwnedStore = Owned<X509_STORE, X509_STORE_free>;
using OwnedStoreContext = Owned<X509_STORE_CTX, X509_STORE_CTX_free>;

// Larger texts are refused unread: no key, request or chain of ours comes near.
inline constexpr std::size_t kMaxPemBytes = 64U << 10;

// OpenSSL leaves its complaints in a queue of the thread, where the next TLS operation would trip
// over them: every door empties it on the way out.
struct QuietErrors {
  QuietErrors() = default;
  ~QuietErrors() { ERR_clear_error(); }
  QuietErrors(const QuietErrors&) = delete;
  QuietErrors& operator=(const QuietErrors&) = delete;
};

OwnedKey private_key(const SigningKey& key);
// Null when OpenSSL refuses the 32 bytes.
OwnedKey public_key(const PublicKey& key);
// The raw 32 bytes; false when `key` is not Ed25519.
bool raw_public_key(const EVP_PKEY* key, PublicKey& out);

OwnedBio reading_bio(std::string_view text);  // the text outlives it
OwnedBio writing_bio();
std::string text_of(BIO& bio);
// For the PEM readers: never asks a terminal for a passphrase.
int refuse_passphrase(char*, int, int, void*);

}  // namespace skein::internal
