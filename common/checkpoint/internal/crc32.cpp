#include "common/checkpoint/internal/crc32.h"

#include <array>

namespace skein {
namespace {

constexpr std::uint32_t kPolynomial = 0xEDB88320U;
using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

// Table k advances a byte's remainder over k further zero bytes ("slicing by 8", Intel 2006).
constexpr Tables make_tables() {
  Tables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t rest = byte;
    for (int bit = 0; bit < 8; ++bit) rest = (rest >> 1) ^ ((rest & 1) != 0 ? kPolynomial : 0);
    tables[0][byte] = rest;
  }
  for (std::size_t k = 1; k < 8; ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xFF];
    }
  }
  return tables;
}
constexpr Tables kTables = make_tables();

}  // namespace

std::uint32_t crc32(ByteView bytes) {
  std::uint32_t crc = 0xFFFFFFFFU;
  std::size_t at = 0;
  for (; bytes.size() - at >= 8; at += 8) {
    const std::uint64_t word = load_le<std::uint64_t>(bytes, at) ^ crc;
    crc = 0;
    for (std::size_t k = 0; k < 8; ++k) crc ^= kTables[7 - k][(word >> (8 * k)) & 0xFF];
  }
  for (; at < bytes.size(); ++at) {
    const auto byte = static_cast<std::uint32_t>(bytes[at]);
    crc = (crc >> 8) ^ kTables[0][(crc ^ byte) & 0xFF];
  }
  return crc ^ 0xFFFFFFFFU;
}

}  // namespace skein
