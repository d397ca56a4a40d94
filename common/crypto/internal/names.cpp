#include "common/crypto/internal/names.h"

#include <algorithm>

#include "common/base/check.h"

namespace skein::internal {

using OwnedName = Owned<GENERAL_NAME, GENERAL_NAME_free>;
using OwnedNames = Owned<GENERAL_NAMES, GENERAL_NAMES_free>;
using OwnedAddress = Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free>;

static bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

static bool is_dns_name(std::string_view host) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.';
  };
  return !host.empty() && host.size() <= 253 && std::all_of(host.begin(), host.end(), allowed);
}

Result<void> check_common_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxCommonName || !is_printable(name)) {
    return fail(Errc::kUsage, "a certificate's name must be 1 to 64 printable ASCII characters");
  }
  return {};
}

bool set_common_name(X509_NAME& subject, std::string_view name) {
  return X509_NAME_add_entry_by_NID(&subject, NID_commonName, MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(name.data()),
                                    static_cast<int>(name.size()), -1, 0) == 1;
}

std::string common_name_of(const X509_NAME* subject) {
  const int first = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (first < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, first) >= 0) return {};
  const ASN1_STRING* value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, first));
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, value);
  if (size < 0) return {};
  std::string name(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(size));
  OPENSSL_free(utf8);
  if (!check_common_name(name)) return {};
  return name;
}

static OwnedName general_name(const std::string& host) {
  OwnedName name(GENERAL_NAME_new());
  CHECK(name != nullptr);
  if (OwnedAddress address(a2i_IPADDRESS(host.c_str())); address != nullptr) {
    GENERAL_NAME_set0_value(name.get(), GEN_IPADD, address.release());
    return name;
  }
  if (!is_dns_name(host)) return nullptr;
  ASN1_IA5STRING* dns = ASN1_IA5STRING_new();
  CHECK(dns != nullptr);
  CHECK(ASN1_STRING_set(dns, host.data(), static_cast<int>(host.size())) == 1);
  GENERAL_NAME_set0_value(name.get(), GEN_DNS, dns);
  return name;
}

Result<void> add_hosts(X509& certificate, const std::vector<std::string>& hosts) {
  if (hosts.size() > kMaxHosts) {
    return fail(Errc::kUsage, "a certificate may be for at most 16 hosts");
  }
  const OwnedNames names(sk_GENERAL_NAME_new_null());
  CHECK(names != nullptr);
  for (const std::string& host : hosts) {
    OwnedName name = general_name(host);
    if (name == nullptr) {
      return fail(Errc::kUsage, "a certificate's host is neither a DNS name nor an IP address",
                  host);
    }
    CHECK(sk_GENERAL_NAME_push(names.get(), name.release()) > 0);
  }
  CHECK(X509_add1_ext_i2d(&certificate, NID_subject_alt_name, names.get(), 0, 0) == 1);
  return {};
}

static std::string address_text(ByteView raw) {
  std::string text;
  if (raw.size() == 4) {
    for (const std::byte part : raw) {
      text += (text.empty() ? "" : ".") + std::to_string(std::to_integer<unsigned>(part));
    }
  } else if (raw.size() == 16) {
    for (std::size_t i = 0; i < 16; i += 2) {
      text += (i == 0 ? "" : ":") + to_hex(raw.subspan(i, 2));
    }
  }
  return text;
}

std::vector<std::string> hosts_of(const X509& certificate) {
  std::vector<std::string> hosts;
  const OwnedNames names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    int type = 0;
    const auto* value = static_cast<const ASN1_STRING*>(GENERAL_NAME_get0_value(name, &type));
    if (type != GEN_DNS && type != GEN_IPADD) continue;
    const ByteView raw(reinterpret_cast<const std::byte*>(ASN1_STRING_get0_data(value)),
                       static_cast<std::size_t>(ASN1_STRING_length(value)));
    std::string host = type == GEN_DNS ? std::string(as_text(raw)) : address_text(raw);
    if (!host.empty() && is_printable(host)) hosts.push_back(std::move(host));
  }
  return hosts;
}

}  // namespace skein::internal
