// A fuzz target: FUZZ_TARGET(name) { ... uses `input` ... } in <name>_target.cpp, and a line in
// targets.h. Under libFuzzer (preset fuzz) it becomes the program fuzz_<name>; in the ordinary
// tests replay_test.cpp runs it over corpus/<name>. A target CHECKs what must hold for any bytes,
// and returns at once for inputs that are too long to be cheap.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/base/bytes.h"

#ifdef SKEIN_FUZZ_REPLAY
#define SKEIN_FUZZ_ENTRY(name)
#else
#define SKEIN_FUZZ_ENTRY(name)                                                              \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {       \
    ::skein::fuzz::name(::skein::ByteView(reinterpret_cast<const std::byte*>(data), size)); \
    return 0;                                                                               \
  }
#endif

#define FUZZ_TARGET(name)    \
  namespace skein::fuzz {    \
  void name(ByteView input); \
  }                          \
  SKEIN_FUZZ_ENTRY(name)     \
  void skein::fuzz::name(ByteView input)

namespace skein::fuzz {
inline constexpr std::size_t kMaxInput = 64 * 1024;
}
