#include "common/crypto/ed25519.h"

#include <gtest/gtest.h>

namespace skein {
namespace {

SigningKey key_from_hex(std::string_view seed) {
  SigningKey key;
  const auto bytes = from_hex(seed);
  std::copy(bytes->begin(), bytes->end(), key.seed.begin());
  return key;
}

// RFC 8032, section 7.1, test 2: a message of the one byte 0x72.
const SigningKey kPublished =
    key_from_hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");

TEST(Ed25519, MatchesThePublishedVector) {
  EXPECT_EQ(to_hex(kPublished.public_key()),
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
  EXPECT_EQ(to_hex(sign(kPublished, as_bytes("r"))),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
}

TEST(Ed25519, AcceptsOnlyTheSignedMessageUnderTheSigningKey) {
  const Signature signature = sign(kPublished, as_bytes("switch to slot B"));
  EXPECT_TRUE(verify(kPublished.public_key(), as_bytes("switch to slot B"), signature));
  EXPECT_FALSE(verify(kPublished.public_key(), as_bytes("switch to slot A"), signature));
  EXPECT_FALSE(verify(SigningKey{}.public_key(), as_bytes("switch to slot B"), signature));
  for (std::size_t bit = 0; bit < signature.size() * 8; ++bit) {
    Signature flipped = signature;
    flipped[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_FALSE(verify(kPublished.public_key(), as_bytes("switch to slot B"), flipped)) << bit;
  }
}

TEST(Ed25519, AnEmptyMessageCanBeSigned) {
  EXPECT_TRUE(verify(kPublished.public_key(), {}, sign(kPublished, {})));
}

TEST(Ed25519, KeysSurvivePem) {
  const auto secret = signing_key_from_pem(to_pem(kPublished));
  ASSERT_TRUE(secret) << to_string(secret.error());
  EXPECT_EQ(secret->seed, kPublished.seed);
  EXPECT_EQ(public_key_from_pem(to_pem(kPublished.public_key())).value(), kPublished.public_key());
}

TEST(Ed25519, RefusesTextsThatAreNoKey) {
  const std::string pem = to_pem(kPublished);
  for (const std::string& text :
       {std::string(), std::string("hello"), pem.substr(0, pem.size() / 2),
        to_pem(kPublished.public_key()), std::string(100'000, '-')}) {
    const auto key = signing_key_from_pem(text);
    ASSERT_FALSE(key);
    EXPECT_EQ(key.error().code, Errc::kCorrupt);
  }
  EXPECT_FALSE(public_key_from_pem(pem));
  EXPECT_FALSE(public_key_from_pem("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"));
}

}  // namespace
}  // namespace skein
