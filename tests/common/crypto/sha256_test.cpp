#include "common/crypto/sha256.h"

#include <gtest/gtest.h>

namespace skein {
namespace {

TEST(Sha256, MatchesThePublishedVectors) {
  EXPECT_EQ(sha256(as_bytes("")).hex(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256(as_bytes("abc")).hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Sha256, PiecesGiveTheSameDigestAsTheWhole) {
  Sha256 hash;
  hash.add(as_bytes("a"));
  hash.add(as_bytes(""));
  hash.add(as_bytes("bc"));
  EXPECT_EQ(hash.finish(), sha256(as_bytes("abc")));
}

TEST(Digest, HexRoundTripsAndRefusesOtherLengths) {
  const Digest digest = sha256(as_bytes("abc"));
  EXPECT_EQ(Digest::from_hex(digest.hex()), digest);
  EXPECT_FALSE(Digest::from_hex("ab"));
  EXPECT_FALSE(Digest::from_hex(std::string(64, 'g')));
}

}  // namespace
}  // namespace skein
