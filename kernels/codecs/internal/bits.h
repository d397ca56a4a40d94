// Bits in bytes, lowest first. The writer tells how many bytes it wanted; the reader reads zeros
// beyond the end and tells that it did. Values; any thread.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "common/base/bytes.h"

namespace skein {

class BitWriter {
 public:
  explicit BitWriter(MutableByteView out) : out_(out) {}

  // The low `count` bits of `value`, at most 32. Without room they only count.
  void put(std::uint32_t value, std::uint32_t count) {
    pending_ |= (std::uint64_t{value} & ((std::uint64_t{1} << count) - 1)) << pending_bits_;
    pending_bits_ += count;
    if (pending_bits_ >= 32) put_bytes(4);
  }
  // Exp-Golomb of order 0: 0 is one bit, 1 and 2 are three, 3 to 6 five.
  void put_golomb(std::uint32_t value) {
    const auto width = static_cast<std::uint32_t>(std::bit_width(value + 1));
    put(0, width - 1);
    put(1, 1);
    put(value + 1, width - 1);
  }
  // Bytes written, the last one filled up with zeros.
  std::size_t finish() {
    put_bytes((pending_bits_ + 7) / 8);
    pending_bits_ = 0;
    return at_;
  }

 private:
  void put_bytes(std::uint32_t bytes) {
    if (at_ + bytes <= out_.size()) std::memcpy(out_.data() + at_, &pending_, bytes);
    at_ += bytes;
    pending_ = bytes == 8 ? 0 : pending_ >> (8 * bytes);
    pending_bits_ -= std::min(pending_bits_, 8 * bytes);
  }

  MutableByteView out_;
  std::size_t at_ = 0;
  std::uint64_t pending_ = 0;
  std::uint32_t pending_bits_ = 0;
};

class BitReader {
 public:
  explicit BitReader(ByteView in) : in_(in) {}

  std::uint32_t take(std::uint32_t count) {  // at most 32
    const std::uint64_t word = ahead();
    bit_ += count;
    return static_cast<std::uint32_t>(word & ((std::uint64_t{1} << count) - 1));
  }
  std::uint32_t take_golomb() {
    const std::uint64_t word = ahead();
    const auto zeros = static_cast<std::uint32_t>(std::countr_zero(word | (1ULL << kMaxZeros)));
    bit_ += 2 * zeros + 1;
    const std::uint64_t rest = (word >> zeros >> 1) & ((1ULL << zeros) - 1);
    return static_cast<std::uint32_t>((1ULL << zeros) + rest - 1);
  }
  // Whether so many bits can be taken without looking for the end.
  bool is_sure_of(std::size_t bits) const { return (bit_ + bits) / 8 + 8 <= in_.size(); }
  // As take, where is_sure_of(count).
  std::uint32_t take_surely(std::uint32_t count) {
    std::uint64_t word;
    std::memcpy(&word, in_.data() + bit_ / 8, sizeof word);
    word >>= bit_ % 8;
    bit_ += count;
    return static_cast<std::uint32_t>(word & ((std::uint64_t{1} << count) - 1));
  }
  std::size_t bytes_taken() const { return (bit_ + 7) / 8; }
  bool overran() const { return bit_ > in_.size() * 8; }
  // Whether what fills up the last byte is zero.
  bool ends_in_zeros() const {
    return overran() || bit_ % 8 == 0 ||
           (std::to_integer<unsigned>(in_[bit_ / 8]) >> bit_ % 8) == 0;
  }

 private:
  static constexpr std::uint32_t kMaxZeros = 16;

  // At least 57 bits from here on.
  std::uint64_t ahead() const {
    const std::size_t byte = bit_ / 8;
    std::uint64_t word = 0;
    if (byte + sizeof word <= in_.size()) {
      std::memcpy(&word, in_.data() + byte, sizeof word);
    } else if (byte < in_.size()) {
      std::memcpy(&word, in_.data() + byte, in_.size() - byte);
    }
    return word >> bit_ % 8;
  }

  ByteView in_;
  std::size_t bit_ = 0;
};

}  // namespace skein
