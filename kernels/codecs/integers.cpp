#include "kernels/codecs/integers.h"

#include <limits>

#include "kernels/codecs/internal/tokens.h"

namespace skein {
namespace {

template <class Integer>
std::size_t encode(std::span<const Integer> values, Contexts contexts, CodecMemory& memory,
                   MutableByteView out) {
  CHECK(values.size() <= kMaxPageCodes && out.size() >= integers_bound(values.size()));
  return encode_tokens(values.size(), contexts, memory, out,
                       [values](std::size_t i) { return zigzag(values[i]); });
}

template <class Integer>
Result<void> decode(ByteView page, Contexts contexts, CodecMemory& memory, std::span<Integer> out) {
  CHECK(out.size() <= kMaxPageCodes);
  constexpr std::uint32_t kMost = zigzag(std::numeric_limits<Integer>::min());
  return decode_tokens(page, contexts, memory, out.size(), kMost,
                       [out](std::size_t first, const std::uint32_t* values, std::size_t some) {
                         for (std::size_t i = 0; i < some; ++i) {
                           out[first + i] = static_cast<Integer>(unzigzag(values[i]));
                         }
                       });
}

}  // namespace

std::size_t encode_integers(std::span<const std::int32_t> values, Contexts contexts,
                            CodecMemory& memory, MutableByteView out) {
  return encode(values, contexts, memory, out);
}
std::size_t encode_integers(std::span<const std::int16_t> values, Contexts contexts,
                            CodecMemory& memory, MutableByteView out) {
  return encode(values, contexts, memory, out);
}
Result<void> decode_integers(ByteView page, Contexts contexts, CodecMemory& memory,
                             std::span<std::int32_t> out) {
  return decode(page, contexts, memory, out);
}
Result<void> decode_integers(ByteView page, Contexts contexts, CodecMemory& memory,
                             std::span<std::int16_t> out) {
  return decode(page, contexts, memory, out);
}

}  // namespace skein
