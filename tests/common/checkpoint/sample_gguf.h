// GGUF files made by hand, so that a test can also make them wrong.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/common/checkpoint/sample_files.h"

namespace skein {

inline constexpr std::uint32_t kGgufU32 = 4;
inline constexpr std::uint32_t kGgufI32 = 5;
inline constexpr std::uint32_t kGgufF32 = 6;
inline constexpr std::uint32_t kGgufText = 8;
inline constexpr std::uint32_t kGgufArray = 9;

inline std::string gguf_text(std::string_view text) {
  std::string out;
  put<std::uint64_t>(out, text.size());
  return out + std::string(text);
}

template <class T>
std::string gguf_scalar(std::string_view key, std::uint32_t type, T value) {
  std::string out = gguf_text(key);
  put(out, type);
  put(out, value);
  return out;
}

inline std::string gguf_string(std::string_view key, std::string_view value) {
  std::string out = gguf_text(key);
  put(out, kGgufText);
  return out + gguf_text(value);
}

// `items`: the elements' bytes, one after another.
inline std::string gguf_array(std::string_view key, std::uint32_t type, std::uint64_t count,
                              const std::string& items) {
  std::string out = gguf_text(key);
  put(out, kGgufArray);
  put(out, type);
  put(out, count);
  return out + items;
}

struct GgufSample {
  std::string name;
  std::vector<std::uint64_t> dimensions;  // innermost first, as the file has them
  std::uint32_t type = 0;
  std::string data;
  std::uint64_t shift = 0;  // added to its offset
};

struct GgufParts {
  std::string magic = "GGUF";
  std::uint32_t version = 3;
  std::uint64_t alignment = 32;  // of the data; nothing is said of it
  std::vector<std::string> keys = {};
  std::vector<GgufSample> tensors = {};
};

// What a file of RWKV-7 must say of itself.
inline std::vector<std::string> gguf_keys(std::string_view architecture = "rwkv7") {
  return {gguf_string("general.architecture", architecture),
          gguf_scalar<std::uint32_t>(std::string(architecture) + ".wkv.head_size", kGgufU32, 2)};
}

inline std::string gguf_of(const GgufParts& parts) {
  std::string out = parts.magic;
  put(out, parts.version);
  put<std::uint64_t>(out, parts.tensors.size());
  put<std::uint64_t>(out, parts.keys.size());
  for (const std::string& key : parts.keys) out += key;
  std::string data;
  const auto pad = [&](std::string& bytes) {
    bytes.append((parts.alignment - bytes.size() % parts.alignment) % parts.alignment, '\0');
  };
  for (const GgufSample& tensor : parts.tensors) {
    out += gguf_text(tensor.name);
    put(out, static_cast<std::uint32_t>(tensor.dimensions.size()));
    for (const std::uint64_t size : tensor.dimensions) put(out, size);
    put(out, tensor.type);
    put<std::uint64_t>(out, data.size() + tensor.shift);
    data += tensor.data;
    pad(data);
  }
  pad(out);
  return out + data;
}

}  // namespace skein
