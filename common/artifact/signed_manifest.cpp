#include <algorithm>

#include "common/artifact/internal/layout.h"
#include "common/artifact/manifest.h"

namespace skein {

using namespace internal;

SignedManifest sign_manifest(const Manifest& manifest, const std::optional<SigningKey>& key) {
  SignedManifest made{.bytes = encode_manifest(manifest)};
  if (key) {
    made.signer = key->public_key();
    made.signature = sign(*key, made.bytes);
  }
  return made;
}

Result<void> verify_signature(const SignedManifest& manifest, const PublicKey& trusted) {
  const auto refuse = [&](const char* what, const char* remedy) {
    return fail(Errc::kRefused, "manifest " + manifest.digest().short_hex() + " " + what, {},
                remedy);
  };
  if (!manifest.is_signed()) {
    return refuse("is not signed", "sign it with the fleet's key");
  }
  if (manifest.signer != trusted) {
    return refuse("is signed by another key", "trust that key, or sign it with the fleet's key");
  }
  if (!verify(trusted, manifest.bytes, manifest.signature)) {
    return refuse("does not match its signature", "fetch the artifact again");
  }
  return {};
}

Buffer encode_signed_manifest(const SignedManifest& manifest) {
  Buffer blob(kSignedManifestPrefix);
  std::copy(kManifestMagic.begin(), kManifestMagic.end(), blob.begin());
  std::copy(manifest.signer.begin(), manifest.signer.end(), blob.begin() + 8);
  std::copy(manifest.signature.begin(), manifest.signature.end(), blob.begin() + 40);
  append(blob, manifest.bytes);
  return blob;
}

Result<SignedManifest> decode_signed_manifest(ByteView blob) {
  const auto corrupt = [](const char* what) {
    return fail(Errc::kCorrupt, what, "signed manifest", "fetch it again");
  };
  if (blob.size() <= kSignedManifestPrefix ||
      blob.size() - kSignedManifestPrefix > kMaxManifestBytes) {
    return corrupt("its length is not possible");
  }
  if (!std::equal(kManifestMagic.begin(), kManifestMagic.end(), blob.begin())) {
    return corrupt("it does not begin as one");
  }
  SignedManifest manifest{.bytes = to_buffer(blob.subspan(kSignedManifestPrefix))};
  std::copy_n(blob.data() + 8, manifest.signer.size(), manifest.signer.data());
  std::copy_n(blob.data() + 40, manifest.signature.size(), manifest.signature.data());
  if (!manifest.is_signed() && manifest.signature != Signature{}) {
    return corrupt("it has a signature but no signer");
  }
  return manifest;
}

}  // namespace skein
