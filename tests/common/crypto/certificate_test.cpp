#include "common/crypto/certificate.h"

#include <gtest/gtest.h>

namespace skein {
namespace {

constexpr WallTime kStart{std::chrono::seconds(1'800'000'000)};
constexpr std::chrono::seconds kYear{365 * 24 * 3600};

SigningKey key_number(unsigned char number) {
  SigningKey key;
  key.seed.fill(std::byte{number});
  return key;
}

struct Fleet {
  SigningKey authority_key = key_number(1);
  SigningKey device_key = key_number(2);
  std::string authority =
      make_authority(authority_key, "skein authority", 1, {kStart, kStart + 10 * kYear}).value();

  CertificateRequest device_request() const {
    return {"device-7", device_key.public_key(), {}, CertificateUse::kDevice,
            7,          {kStart, kStart + kYear}};
  }
  std::string device() const {
    return issue_certificate(authority_key, authority, device_request()).value();
  }
  std::string server() const {
    CertificateRequest request = device_request();
    request.common_name = "coordinator";
    request.use = CertificateUse::kServer;
    request.hosts = {"coordinator.local", "127.0.0.1", "::1"};
    return issue_certificate(authority_key, authority, request).value();
  }
};

std::string refusal_of(const Fleet& fleet, std::string_view certificate, CertificateUse use,
                       WallTime now) {
  const auto facts = verify_certificate(certificate, fleet.authority, use, now);
  if (facts) return "accepted";
  EXPECT_EQ(facts.error().code, Errc::kRefused);
  return to_string(facts.error());
}

TEST(Certificate, AnIssuedOneVerifiesAndStatesItsFacts) {
  const Fleet fleet;
  const auto facts = verify_certificate(fleet.device(), fleet.authority, CertificateUse::kDevice,
                                        kStart + kYear / 2);
  ASSERT_TRUE(facts) << to_string(facts.error());
  EXPECT_EQ(facts->common_name, "device-7");
  EXPECT_EQ(facts->public_key, fleet.device_key.public_key());
  EXPECT_EQ(facts->serial, 7U);
  EXPECT_TRUE(facts->hosts.empty());
  EXPECT_EQ(facts->fingerprint, certificate_fingerprint(fleet.device()).value());
}

TEST(Certificate, AChainWithItsAuthorityBehindTheLeafVerifies) {
  const Fleet fleet;
  EXPECT_TRUE(verify_certificate(fleet.device() + fleet.authority, fleet.authority,
                                 CertificateUse::kDevice, kStart));
}

TEST(Certificate, AServersOneNamesItsHosts) {
  const Fleet fleet;
  const auto facts =
      verify_certificate(fleet.server(), fleet.authority, CertificateUse::kServer, kStart);
  ASSERT_TRUE(facts) << to_string(facts.error());
  const std::vector<std::string> hosts = {"coordinator.local", "127.0.0.1",
                                          "0000:0000:0000:0000:0000:0000:0000:0001"};
  EXPECT_EQ(facts->hosts, hosts);
}

TEST(Certificate, EqualInputsGiveEqualTexts) {
  EXPECT_EQ(Fleet().authority, Fleet().authority);
  EXPECT_EQ(Fleet().server(), Fleet().server());
}

TEST(Certificate, IsRefusedOutsideItsTime) {
  const Fleet fleet;
  const std::string device = fleet.device();
  EXPECT_EQ(refusal_of(fleet, device, CertificateUse::kDevice, kStart + kYear + kYear),
            "the certificate is refused: it has expired (device-7): enrol again to get a new one");
  EXPECT_EQ(
      refusal_of(fleet, device, CertificateUse::kDevice, kStart - std::chrono::hours(1)),
      "the certificate is refused: it is not valid yet (device-7): check this machine's clock");
}

TEST(Certificate, OfAnotherAuthorityIsRefused) {
  const Fleet fleet;
  const auto other_name =
      make_authority(key_number(9), "other", 1, {kStart, kStart + 10 * kYear}).value();
  const auto same_name =
      make_authority(key_number(9), "skein authority", 1, {kStart, kStart + 10 * kYear}).value();
  for (const auto& other : {other_name, same_name}) {
    const auto foreign = issue_certificate(key_number(9), other, fleet.device_request()).value();
    EXPECT_EQ(refusal_of(fleet, foreign, CertificateUse::kDevice, kStart),
              "the certificate is refused: it comes from another authority (device-7): enrol with "
              "this coordinator");
  }
}

TEST(Certificate, ForOneUseIsRefusedForTheOther) {
  const Fleet fleet;
  EXPECT_EQ(refusal_of(fleet, fleet.device(), CertificateUse::kServer, kStart),
            "the certificate is refused: it is for another use (device-7): present a certificate "
            "made for this end");
  EXPECT_NE(refusal_of(fleet, fleet.server(), CertificateUse::kDevice, kStart), "accepted");
}

TEST(Certificate, AnAuthorityIsNoDevice) {
  const Fleet fleet;
  EXPECT_NE(refusal_of(fleet, fleet.authority, CertificateUse::kDevice, kStart), "accepted");
  EXPECT_NE(refusal_of(fleet, fleet.authority, CertificateUse::kServer, kStart), "accepted");
}

TEST(Certificate, ADeviceCannotIssue) {
  // Given a device that signs a certificate for a friend with its own key,
  const Fleet fleet;
  CertificateRequest friend_request = fleet.device_request();
  friend_request.common_name = "friend";
  friend_request.public_key = key_number(5).public_key();
  const auto forged = issue_certificate(fleet.device_key, fleet.device(), friend_request).value();
  // then neither alone nor with the device's certificate behind it does it verify.
  EXPECT_NE(refusal_of(fleet, forged, CertificateUse::kDevice, kStart), "accepted");
  EXPECT_NE(refusal_of(fleet, forged + fleet.device(), CertificateUse::kDevice, kStart),
            "accepted");
}

TEST(Certificate, NoChangedCharacterIsAccepted) {
  const Fleet fleet;
  const std::string device = fleet.device();
  const auto truth =
      verify_certificate(device, fleet.authority, CertificateUse::kDevice, kStart)->fingerprint;
  int refused = 0;
  const std::size_t begin = device.find('\n') + 1;
  const std::size_t end = device.find("-----END");
  for (std::size_t i = begin; i < end; ++i) {
    if (device[i] == '\n' || device[i] == '=') continue;
    std::string changed = device;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    const auto facts =
        verify_certificate(changed, fleet.authority, CertificateUse::kDevice, kStart);
    // The last character may carry bits that base64 ignores: then it is the same certificate.
    if (facts) EXPECT_EQ(facts->fingerprint, truth);
    refused += facts ? 0 : 1;
  }
  EXPECT_GT(refused, 300);
}

TEST(Certificate, TextsThatAreNoneAreCorrupt) {
  const Fleet fleet;
  const std::string device = fleet.device();
  for (const std::string& text :
       {std::string(), std::string("hello"), device.substr(0, device.size() / 2),
        to_pem(fleet.device_key), device.substr(30), std::string(1'000'000, 'A')}) {
    const auto facts = verify_certificate(text, fleet.authority, CertificateUse::kDevice, kStart);
    ASSERT_FALSE(facts);
    EXPECT_EQ(facts.error().code, Errc::kCorrupt);
    EXPECT_FALSE(verify_certificate(device, text, CertificateUse::kDevice, kStart));
    EXPECT_FALSE(certificate_fingerprint(text));
    EXPECT_FALSE(parse_signing_request(text));
  }
}

TEST(Certificate, RequestsThatMakeNoSenseAreRefusedBeforeSigning) {
  const Fleet fleet;
  const auto refused = [&](auto change) {
    CertificateRequest request = fleet.device_request();
    change(request);
    const auto made = issue_certificate(fleet.authority_key, fleet.authority, request);
    return !made && made.error().code == Errc::kUsage;
  };
  EXPECT_TRUE(refused([](auto& r) { r.common_name = ""; }));
  EXPECT_TRUE(refused([](auto& r) { r.common_name = std::string(65, 'a'); }));
  EXPECT_TRUE(refused([](auto& r) { r.common_name = "a\nb"; }));
  EXPECT_TRUE(refused([](auto& r) { r.serial = 0; }));
  EXPECT_TRUE(refused([](auto& r) { r.validity.until = r.validity.from; }));
  EXPECT_TRUE(refused([](auto& r) { r.use = CertificateUse::kServer; }));
  EXPECT_TRUE(refused([](auto& r) { r.hosts = {"DNS:evil,IP:1.2.3.4"}; }));
  EXPECT_TRUE(refused([](auto& r) { r.hosts.assign(17, "a"); }));
  EXPECT_FALSE(issue_certificate(key_number(3), fleet.authority, fleet.device_request()));
}

TEST(SigningRequest, ProvesTheKeyAndNamesTheAsker) {
  const Fleet fleet;
  const auto asked =
      parse_signing_request(make_signing_request(fleet.device_key, "device-7").value());
  ASSERT_TRUE(asked) << to_string(asked.error());
  EXPECT_EQ(asked->common_name, "device-7");
  EXPECT_EQ(asked->public_key, fleet.device_key.public_key());
}

TEST(SigningRequest, NoChangedCharacterIsAccepted) {
  const Fleet fleet;
  const std::string pem = make_signing_request(fleet.device_key, "device-7").value();
  int refused = 0;
  for (std::size_t i = pem.find('\n') + 1; i < pem.find("-----END"); ++i) {
    if (pem[i] == '\n' || pem[i] == '=') continue;
    std::string changed = pem;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    refused += parse_signing_request(changed) ? 0 : 1;
  }
  EXPECT_GT(refused, 150);
}

}  // namespace
}  // namespace skein
