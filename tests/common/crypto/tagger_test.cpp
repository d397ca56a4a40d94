#include "common/crypto/tagger.h"

#include <gtest/gtest.h>

#include <string>

namespace skein {
namespace {

TagKey key_of(const char* hex) {
  TagKey key;
  for (std::size_t i = 0; i < key.size(); ++i) {
    key[i] = static_cast<std::byte>(std::stoul(std::string(hex + 2 * i, 2), nullptr, 16));
  }
  return key;
}

// RFC 8439, section 2.5.2.
constexpr const char* kKey = "85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b";

TEST(Tagger, MatchesThePublishedVector) {
  Tagger tagger(key_of(kKey));
  const Tag tag = tagger.of(as_bytes("Cryptographic Forum Research Group"));
  EXPECT_EQ(tag[0], std::byte{0xa8});
  EXPECT_EQ(tag[1], std::byte{0x06});
  EXPECT_EQ(tag[15], std::byte{0xa9});
}

TEST(Tagger, TellsBytesApartAndIsUsedAgain) {
  Tagger tagger(key_of(kKey));
  const Tag first = tagger.of(as_bytes("a page of weights"));
  EXPECT_NE(tagger.of(as_bytes("a page of weightt")), first);
  EXPECT_EQ(tagger.of(as_bytes("a page of weights")), first);
}

}  // namespace
}  // namespace skein
