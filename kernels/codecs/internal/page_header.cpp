#include "kernels/codecs/internal/page_header.h"

#include <array>

namespace skein {
namespace {

constexpr std::uint64_t kFactor = 0x9E3779B97F4A7C15;  // 2^64 / golden ratio, odd
constexpr std::size_t kLanes = 4;                      // the multiplier works on four at a time

std::uint64_t mixed(std::uint64_t hash, std::uint64_t word) {
  hash = (hash ^ word) * kFactor;
  return hash ^ (hash >> 32);
}

}  // namespace

std::uint32_t check_of(ByteView bytes) {
  std::array<std::uint64_t, kLanes> hashes = {1, 2, 3, 4};
  std::array<std::uint64_t, kLanes> words;
  std::size_t at = 0;
  for (; at + sizeof words <= bytes.size(); at += sizeof words) {
    std::memcpy(words.data(), bytes.data() + at, sizeof words);
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      hashes[lane] = mixed(hashes[lane], words[lane]);
    }
  }
  words.fill(0);
  if (at < bytes.size()) std::memcpy(words.data(), bytes.data() + at, bytes.size() - at);
  std::uint64_t all = bytes.size();
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    all = mixed(all, mixed(hashes[lane], words[lane]));
  }
  return static_cast<std::uint32_t>(all);
}

}  // namespace skein
