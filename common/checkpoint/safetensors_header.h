// The header of a safetensors file: which tensors there are, of what type, and where. Pure; any
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace skein {

inline constexpr std::uint64_t kMaxSafetensorsHeader = 100'000'000;  // the format's own limit

struct SafetensorsEntry {
  std::string name;
  std::string dtype;  // "F32", "BF16", ...; whatever the file says
  std::vector<std::uint64_t> shape = {};
  std::uint64_t begin = 0;  // of its bytes, in the file
  std::uint64_t end = 0;
};

// In the order of their bytes, which cover the file from the header to its end without hole or
// overlap, as the format asks. Whether a shape fits its bytes is for whoever knows the dtype.
// `file_name` is for messages. Errc::kCorrupt.
Result<std::vector<SafetensorsEntry>> read_safetensors_header(
    ByteView file, std::string_view file_name, std::uint64_t most_bytes = kMaxSafetensorsHeader);

}  // namespace skein
