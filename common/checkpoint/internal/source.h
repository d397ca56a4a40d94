// Source: the file being read and the sentences said about it; ByteReader: a cursor that cannot
// leave its bytes. Values; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/checkpoint/blocks.h"
#include "kernels/ops/format.h"

namespace skein {

struct Source {
  ByteView bytes;
  std::string_view file;  // only for messages

  tl::unexpected<Error> corrupt(std::string what, const std::string& place) const;
  tl::unexpected<Error> unsupported(std::string what, const std::string& place,
                                    std::string remedy) const;
};

// A name from the file, fit to be printed: quoted, cut to a sane length, odd bytes shown as '?'.
std::string quoted(std::string_view name);
std::string at_byte(std::uint64_t offset);  // "byte 12"

std::uint64_t element_bytes(Format format);  // f32: 4; bf16, f16: 2
// What a tensor's bytes consist of: blocks, or plain elements as blocks of one.
BlockSize unit_of(Packing packing, Format format);

// Rank, dimensions and their product against the limits. `limit` is the most elements the file can
// hold; nullopt = zero or too many dimensions, a dimension of 0 or past 32 bits, or over the limit.
std::optional<std::uint64_t> count_elements(const std::vector<std::uint64_t>& shape,
                                            std::uint64_t limit);
std::vector<std::uint32_t> narrow_shape(const std::vector<std::uint64_t>& shape);  // once counted

class ByteReader {
 public:
  explicit ByteReader(ByteView bytes, std::size_t at = 0) : bytes_(bytes), at_(at) {
    CHECK(at <= bytes.size());
  }
  std::size_t at() const { return at_; }
  std::size_t left() const { return bytes_.size() - at_; }

  std::optional<ByteView> take(std::uint64_t count) {
    if (count > left()) return std::nullopt;
    const ByteView taken = bytes_.subspan(at_, static_cast<std::size_t>(count));
    at_ += taken.size();
    return taken;
  }
  template <class T>
  std::optional<T> read() {
    const auto raw = take(sizeof(T));
    if (!raw) return std::nullopt;
    return load_le<T>(*raw, 0);
  }

 private:
  ByteView bytes_;
  std::size_t at_;
};

}  // namespace skein
