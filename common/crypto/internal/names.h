// Names inside certificates: what may stand in a common name or a host, and how they are put into
// and taken out of OpenSSL's structures. Pure functions; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/crypto/internal/openssl.h"

namespace skein::internal {

inline constexpr std::size_t kMaxCommonName = 64;  // X.520's own bound
inline constexpr std::size_t kMaxHosts = 16;

// 1 to 64 printable ASCII characters: names end up in logs and tables.
Result<void> check_common_name(std::string_view name);
bool set_common_name(X509_NAME& subject, std::string_view name);
// The one common name of `subject`; empty when it has none, several, or one we would not issue.
std::string common_name_of(const X509_NAME* subject);

// subjectAltName with a DNS name or IP address per host. Errc::kUsage names a host that is neither.
Result<void> add_hosts(X509& certificate, const std::vector<std::string>& hosts);
std::vector<std::string> hosts_of(const X509& certificate);

}  // namespace skein::internal
