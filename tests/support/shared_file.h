// Files beside the checkout (../shared), for tests that can do without them.
//   const auto file = read_shared("models/reference/skein-ref-v1.pth");
//   if (!file) GTEST_SKIP() << needs_shared("models/reference/skein-ref-v1.pth");
#pragma once

#include <fstream>
#include <iterator>
#include <optional>
#include <string>

#include "common/base/bytes.h"

namespace skein {

inline std::optional<Buffer> read_shared(const std::string& path) {
  std::ifstream file(std::string(SKEIN_SOURCE_DIR) + "/../shared/" + path, std::ios::binary);
  if (!file) return std::nullopt;
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  return to_buffer(text);
}

inline std::string needs_shared(const std::string& path) { return "needs ../shared: " + path; }

}  // namespace skein
