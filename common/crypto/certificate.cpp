#include "common/crypto/certificate.h"

#include "common/base/check.h"
#include "common/crypto/internal/names.h"
#include "common/crypto/internal/openssl.h"

namespace skein {

using namespace internal;

namespace {

struct Extension {
  int nid;
  const char* value;
};

constexpr Extension kAuthorityExtensions[] = {
    {NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
    {NID_key_usage, "critical,keyCertSign,cRLSign"},
    {NID_subject_key_identifier, "hash"},
    {NID_authority_key_identifier, "keyid:always"},
};
constexpr Extension kLeafExtensions[] = {
    {NID_basic_constraints, "critical,CA:FALSE"},
    {NID_key_usage, "critical,digitalSignature"},
    {NID_subject_key_identifier, "hash"},
    {NID_authority_key_identifier, "keyid:always"},
};

const char* extended_use(CertificateUse use) {
  return use == CertificateUse::kServer ? "serverAuth" : "clientAuth";
}

void add_extension(X509& certificate, X509& issuer, Extension extension) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, &issuer, &certificate, nullptr, nullptr, 0);
  const OwnedExtension made(X509V3_EXT_conf_nid(nullptr, &context, extension.nid, extension.value));
  CHECK(made != nullptr && X509_add_ext(&certificate, made.get(), -1) == 1);
}

struct Draft {
  std::string_view common_name;
  std::uint64_t serial;
  Validity validity;
  EVP_PKEY* key;
};

// Everything but issuer, extensions and signature.
Result<OwnedCertificate> draft_certificate(const Draft& draft) {
  TRY_VOID(check_common_name(draft.common_name));
  if (draft.serial == 0) return fail(Errc::kUsage, "a certificate's serial must not be 0");
  if (draft.validity.from >= draft.validity.until) {
    return fail(Errc::kUsage, "a certificate must end after it begins");
  }
  OwnedCertificate certificate(X509_new());
  CHECK(certificate != nullptr);
  X509* raw = certificate.get();
  CHECK(X509_set_version(raw, X509_VERSION_3) == 1);
  CHECK(ASN1_INTEGER_set_uint64(X509_get_serialNumber(raw), draft.serial) == 1);
  const auto set_time = [](ASN1_TIME* field, WallTime time) {
    return ASN1_TIME_set(field, time.time_since_epoch().count()) != nullptr;
  };
  if (!set_time(X509_getm_notBefore(raw), draft.validity.from) ||
      !set_time(X509_getm_notAfter(raw), draft.validity.until)) {
    return fail(Errc::kUsage, "a certificate's times must lie before the year 10000");
  }
  CHECK(set_common_name(*X509_get_subject_name(raw), draft.common_name));
  CHECK(X509_set_pubkey(raw, draft.key) == 1);
  return certificate;
}

std::string signed_pem(X509& certificate, EVP_PKEY& key) {
  CHECK(X509_sign(&certificate, &key, nullptr) > 0);
  const OwnedBio bio = writing_bio();
  CHECK(PEM_write_bio_X509(bio.get(), &certificate) == 1);
  return text_of(*bio);
}

tl::unexpected<Error> not_a_certificate() {
  return fail(Errc::kCorrupt, "this is not an X.509 certificate in PEM form");
}

// The first certificate of a text; the rest of a chain is of no use to us, whose authority signs
// every leaf itself (path length 0).
Result<OwnedCertificate> parse_certificate(std::string_view pem) {
  if (pem.size() > kMaxPemBytes) return not_a_certificate();
  const OwnedBio bio = reading_bio(pem);
  OwnedCertificate certificate(PEM_read_bio_X509(bio.get(), nullptr, refuse_passphrase, nullptr));
  if (certificate == nullptr) return not_a_certificate();
  return certificate;
}

}  // namespace

Result<std::string> make_authority(const SigningKey& key, std::string_view common_name,
                                   std::uint64_t serial, Validity validity) {
  const QuietErrors quiet;
  const OwnedKey secret = private_key(key);
  TRY(const OwnedCertificate authority,
      draft_certificate({common_name, serial, validity, secret.get()}));
  CHECK(X509_set_issuer_name(authority.get(), X509_get_subject_name(authority.get())) == 1);
  for (const Extension& extension : kAuthorityExtensions) {
    add_extension(*authority, *authority, extension);
  }
  return signed_pem(*authority, *secret);
}

Result<std::string> issue_certificate(const SigningKey& authority_key,
                                      std::string_view authority_pem,
                                      const CertificateRequest& request) {
  const QuietErrors quiet;
  TRY(const OwnedCertificate authority, parse_certificate(authority_pem));
  const OwnedKey secret = private_key(authority_key);
  if (X509_check_private_key(authority.get(), secret.get()) != 1) {
    return fail(Errc::kUsage, "the authority's key does not belong to its certificate");
  }
  const OwnedKey key = public_key(request.public_key);
  if (key == nullptr) return fail(Errc::kUsage, "the public key to certify is not usable");
  TRY(const OwnedCertificate certificate,
      draft_certificate({request.common_name, request.serial, request.validity, key.get()}));
  CHECK(X509_set_issuer_name(certificate.get(), X509_get_subject_name(authority.get())) == 1);
  for (const Extension& extension : kLeafExtensions) {
    add_extension(*certificate, *authority, extension);
  }
  add_extension(*certificate, *authority, {NID_ext_key_usage, extended_use(request.use)});
  if (request.use == CertificateUse::kServer && request.hosts.empty()) {
    return fail(Errc::kUsage, "a server's certificate needs the hosts it is for",
                request.common_name, "name at least one DNS name or IP address");
  }
  if (!request.hosts.empty()) TRY_VOID(add_hosts(*certificate, request.hosts));
  return signed_pem(*certificate, *secret);
}

Result<std::string> make_signing_request(const SigningKey& key, std::string_view common_name) {
  const QuietErrors quiet;
  TRY_VOID(check_common_name(common_name));
  const OwnedKey secret = private_key(key);
  const OwnedRequest request(X509_REQ_new());
  CHECK(request != nullptr);
  CHECK(X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) == 1);
  CHECK(set_common_name(*X509_REQ_get_subject_name(request.get()), common_name));
  CHECK(X509_REQ_set_pubkey(request.get(), secret.get()) == 1);
  CHECK(X509_REQ_sign(request.get(), secret.get(), nullptr) > 0);
  const OwnedBio bio = writing_bio();
  CHECK(PEM_write_bio_X509_REQ(bio.get(), request.get()) == 1);
  return text_of(*bio);
}

Result<SigningRequest> parse_signing_request(std::string_view pem) {
  const QuietErrors quiet;
  const auto corrupt = [] {
    return fail(Errc::kCorrupt, "this is not a certificate signing request in PEM form");
  };
  if (pem.size() > kMaxPemBytes) return corrupt();
  const OwnedBio bio = reading_bio(pem);
  const OwnedRequest request(PEM_read_bio_X509_REQ(bio.get(), nullptr, refuse_passphrase, nullptr));
  if (request == nullptr) return corrupt();
  SigningRequest asked;
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  if (!raw_public_key(key, asked.public_key)) {
    return fail(Errc::kRefused, "the signing request's key is not Ed25519");
  }
  if (X509_REQ_verify(request.get(), key) != 1) {
    return fail(Errc::kRefused, "the signing request's signature does not match its key");
  }
  asked.common_name = common_name_of(X509_REQ_get_subject_name(request.get()));
  if (asked.common_name.empty()) {
    return fail(Errc::kRefused, "the signing request has no usable common name");
  }
  return asked;
}

namespace {

// X509_verify_cert's findings in our words; what is not listed keeps OpenSSL's.
tl::unexpected<Error> refusal(int code, std::string where) {
  const auto refuse = [&](std::string what, const char* remedy) {
    return fail(Errc::kRefused, "the certificate is refused: " + std::move(what), std::move(where),
                remedy);
  };
  switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return refuse("it has expired", "enrol again to get a new one");
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return refuse("it is not valid yet", "check this machine's clock");
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return refuse("it comes from another authority", "enrol with this coordinator");
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return refuse("its authority's signature does not match", "fetch it again");
    case X509_V_ERR_INVALID_PURPOSE:
      return refuse("it is for another use", "present a certificate made for this end");
    default:
      return refuse(X509_verify_cert_error_string(code), "enrol again");
  }
}

int verify_against(X509& leaf, X509& authority, CertificateUse use, WallTime now) {
  const OwnedStore store(X509_STORE_new());
  const OwnedStoreContext context(X509_STORE_CTX_new());
  CHECK(store != nullptr && context != nullptr);
  CHECK(X509_STORE_add_cert(store.get(), &authority) == 1);
  CHECK(X509_STORE_CTX_init(context.get(), store.get(), &leaf, nullptr) == 1);
  X509_VERIFY_PARAM* rules = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(rules, now.time_since_epoch().count());
  X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_X509_STRICT | X509_V_FLAG_CHECK_SS_SIGNATURE);
  X509_VERIFY_PARAM_set_purpose(
      rules, use == CertificateUse::kServer ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT);
  if (X509_verify_cert(context.get()) == 1) return X509_V_OK;
  const int code = X509_STORE_CTX_get_error(context.get());
  return code == X509_V_OK ? X509_V_ERR_UNSPECIFIED : code;
}

// OpenSSL lets a certificate without extended key usage pass for any: we demand ours by name.
bool is_leaf_for(X509& leaf, CertificateUse use) {
  if (X509_check_ca(&leaf) != 0) return false;
  const std::uint32_t wanted = use == CertificateUse::kServer ? XKU_SSL_SERVER : XKU_SSL_CLIENT;
  return (X509_get_extension_flags(&leaf) & EXFLAG_XKUSAGE) != 0 &&
         X509_get_extended_key_usage(&leaf) == wanted;
}

Digest fingerprint_of(const X509& certificate) {
  Digest digest;
  unsigned size = 0;
  CHECK(X509_digest(&certificate, EVP_sha256(),
                    reinterpret_cast<unsigned char*>(digest.bytes.data()), &size) == 1);
  CHECK(size == digest.bytes.size());
  return digest;
}

}  // namespace

Result<CertificateFacts> verify_certificate(std::string_view chain_pem,
                                            std::string_view authority_pem, CertificateUse use,
                                            WallTime now) {
  const QuietErrors quiet;
  TRY(const OwnedCertificate leaf, parse_certificate(chain_pem));
  TRY(const OwnedCertificate authority, parse_certificate(authority_pem));
  CertificateFacts facts;
  facts.common_name = common_name_of(X509_get_subject_name(leaf.get()));
  const std::string where = facts.common_name.empty() ? "without a name" : facts.common_name;
  if (const int code = verify_against(*leaf, *authority, use, now); code != X509_V_OK) {
    return refusal(code, where);
  }
  if (!is_leaf_for(*leaf, use)) return refusal(X509_V_ERR_INVALID_PURPOSE, where);
  if (facts.common_name.empty() ||
      !raw_public_key(X509_get0_pubkey(leaf.get()), facts.public_key) ||
      ASN1_INTEGER_get_uint64(&facts.serial, X509_get0_serialNumber(leaf.get())) != 1) {
    return fail(Errc::kRefused, "the certificate is refused: it is not one that Skein issues",
                where, "enrol again");
  }
  facts.hosts = hosts_of(*leaf);
  facts.fingerprint = fingerprint_of(*leaf);
  return facts;
}

Result<Digest> certificate_fingerprint(std::string_view pem) {
  const QuietErrors quiet;
  TRY(const OwnedCertificate certificate, parse_certificate(pem));
  return fingerprint_of(*certificate);
}

}  // namespace skein
