// The committed pages of tests/golden/coded_page, made by an encoder written in Python from the
// room's README: they decode to their codes, and the broken ones are refused.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "kernels/codecs/coded_page.h"

namespace skein {
namespace {

const std::filesystem::path kFolder =
    std::filesystem::path(SKEIN_SOURCE_DIR) / "tests/golden/coded_page";

std::vector<std::uint8_t> read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  return {text.begin(), text.end()};
}

TEST(GoldenPages, GoodOnesHaveTheirCodesAndBadOnesAreRefused) {
  CodecMemory memory;
  int good = 0;
  int bad = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    if (entry.path().extension() != ".page") continue;
    SCOPED_TRACE(entry.path().string());
    const std::vector<std::uint8_t> page = read(entry.path());
    const ByteView bytes = std::as_bytes(std::span(page));
    if (entry.path().stem().string().starts_with("bad-")) {
      ++bad;
      std::vector<std::uint8_t> out(1000);
      const auto result = decode_page(bytes, {}, memory, out);
      ASSERT_FALSE(result);
      EXPECT_EQ(result.error().code, Errc::kCorrupt);
      // All but one have a good check and are refused for what their name says.
      const bool unchecked = result.error().what.find("its check") != std::string::npos;
      EXPECT_EQ(unchecked, entry.path().stem() == "bad-check");
      continue;
    }
    ++good;
    const auto codes = read(std::filesystem::path(entry.path()).replace_extension(".codes"));
    const auto contexts = read(std::filesystem::path(entry.path()).replace_extension(".contexts"));
    std::vector<std::uint8_t> out(codes.size());
    const auto result = decode_page(bytes, {contexts}, memory, out);
    ASSERT_TRUE(result) << to_string(result.error());
    EXPECT_EQ(out, codes);
  }
  EXPECT_EQ(good, 7);
  EXPECT_EQ(bad, 13);
}

}  // namespace
}  // namespace skein
