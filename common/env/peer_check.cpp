#include "common/env/peer_check.h"

#include <algorithm>
#include <vector>

namespace skein {

namespace {

constexpr std::size_t kMaxChain = 8;

std::vector<std::string_view> certificates_in(std::string_view chain_pem) {
  constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----";
  constexpr std::string_view kEnd = "-----END CERTIFICATE-----";
  std::vector<std::string_view> found;
  while (found.size() < kMaxChain) {
    const std::size_t begin = chain_pem.find(kBegin);
    if (begin == std::string_view::npos) break;
    const std::size_t end = chain_pem.find(kEnd, begin);
    if (end == std::string_view::npos) break;
    found.push_back(chain_pem.substr(begin, end + kEnd.size() - begin));
    chain_pem.remove_prefix(end + kEnd.size());
  }
  return found;
}

Result<std::string> authority_in(std::string_view chain_pem, const Digest& fingerprint) {
  for (const std::string_view pem : certificates_in(chain_pem)) {
    TRY(const Digest digest, certificate_fingerprint(pem));
    if (digest == fingerprint) return std::string(pem) + "\n";
  }
  return fail(Errc::kRefused, "the server's certificates do not include the authority",
              fingerprint.short_hex(), "ask the operator for a new enrolment token");
}

bool is_for(const CertificateFacts& facts, std::string_view host) {
  const auto lower = [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; };
  return std::ranges::any_of(facts.hosts, [&](const std::string& name) {
    return std::ranges::equal(name, host, {}, lower, lower);
  });
}

}  // namespace

Result<CheckedPeer> check_peer(std::string_view chain_pem, const TlsOptions& options,
                               CertificateUse peer_use, WallTime now) {
  if (chain_pem.empty()) {
    if (options.peer_certificate_optional) return CheckedPeer{};
    return fail(Errc::kRefused, "the peer showed no certificate", {}, "enrol it first");
  }
  CheckedPeer peer;
  std::string authority = options.authority_pem;
  if (options.authority_fingerprint) {
    TRY(authority, authority_in(chain_pem, *options.authority_fingerprint));
    peer.identity.authority_pem = authority;
  }
  TRY(const CertificateFacts facts, verify_certificate(chain_pem, authority, peer_use, now));
  if (!options.server_name.empty() && !is_for(facts, options.server_name)) {
    return fail(Errc::kRefused, "the server's certificate is for another host", options.server_name,
                "connect by a name the certificate carries");
  }
  peer.identity.name = facts.common_name;
  peer.identity.serial = facts.serial;
  peer.key = facts.public_key;
  return peer;
}

}  // namespace skein
