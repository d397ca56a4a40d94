// Files beside the checkout (../shared), for tests that can do without them.
//   const auto file = read_shared("models/reference/skein-ref-v1.pth");
//   if (!file) GTEST_SKIP() << needs_shared("models/reference/skein-ref-v1.pth");
#pragma once

#include <fstream>
#include <optional>
#include <string>

#include "common/base/bytes.h"

namespace skein {

inline std::optional<Buffer> read_shared(const std::string& path) {
  std::ifstream file(std::string(SKEIN_SOURCE_DIR) + "/../shared/" + path,
                     std::ios::binary | std::ios::ate);
  if (!file) return std::nullopt;
  Buffer bytes(static_cast<std::size_t>(file.tellg()));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  CHECK(file.good());
  return bytes;
}

inline std::string needs_shared(const std::string& path) { return "needs ../shared: " + path; }

}  // namespace skein
