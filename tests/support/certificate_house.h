// House: a device authority with its server and a device, for tests of who may talk to whom. Tests
// only. Everything is made from small fixed numbers.
#pragma once

#include <chrono>
#include <string>

#include "common/crypto/certificate.h"
#include "common/env/network.h"

namespace skein::test {

constexpr std::chrono::hours kYear{24 * 365};

inline SigningKey key_of(std::uint8_t number) {
  SigningKey key;
  key.seed.fill(std::byte{number});
  return key;
}

inline CertificateRequest device_request() {
  CertificateRequest request;
  request.common_name = "device-7";
  return request;
}

// An authority and what it issues.
struct House {
  explicit House(std::uint8_t number, WallTime now)
      : key(key_of(number)),
        validity{now - kYear, now + kYear},
        pem(make_authority(key, "house", number, validity).value()) {}

  TlsIdentity identity(std::uint8_t number, CertificateRequest request) const {
    const SigningKey own = key_of(number);
    request.public_key = own.public_key();
    request.serial = number;
    if (request.validity.until == WallTime{}) request.validity = validity;
    return {issue_certificate(key, pem, request).value() + pem, to_pem(own)};
  }
  TlsIdentity server() const {
    return identity(100, {.common_name = "coordinator",
                          .hosts = {"coordinator.test", "127.0.0.1"},
                          .use = CertificateUse::kServer});
  }
  TlsIdentity device() const { return identity(7, device_request()); }

  TlsOptions server_options() const { return {.identity = server(), .authority_pem = pem}; }
  TlsOptions device_options() const { return {.identity = device(), .authority_pem = pem}; }

  SigningKey key;
  Validity validity;
  std::string pem;
};

}  // namespace skein::test
