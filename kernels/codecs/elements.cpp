#include "kernels/codecs/elements.h"

#include <algorithm>
#include <limits>
#include <string>

#include "kernels/codecs/internal/element_bits.h"
#include "kernels/codecs/internal/tokens.h"

namespace skein {
namespace {

enum class ElementsForm : std::uint8_t { kRaw = 0, kPlanes = 1, kDifference = 2 };

constexpr std::size_t kBodyAt = 1;
constexpr std::size_t kSizeBytes = sizeof(std::uint32_t);

tl::unexpected<Error> corrupt(std::string what) {
  return fail(Errc::kCorrupt, std::move(what), "coded elements", "fetch the page again");
}

// One byte plane after another in parts.codes, the topmost first.
template <class Bits>
void split(ByteView raw, std::uint8_t* planes) {
  using Word = Bits::Bits;
  const std::size_t count = raw.size() / sizeof(Word);
  for (std::size_t i = 0; i < count; ++i) {
    const Word word = Bits::rotated(load_word<Word>(raw, i));
    for (std::size_t k = 0; k < sizeof(Word); ++k) {
      planes[k * count + i] = static_cast<std::uint8_t>(word >> (8 * (sizeof(Word) - 1 - k)));
    }
  }
}

template <class Bits>
void join(const std::uint8_t* __restrict planes, MutableByteView raw) {
  using Word = Bits::Bits;
  const std::size_t count = raw.size() / sizeof(Word);
  std::byte* __restrict const out = raw.data();
  for (std::size_t i = 0; i < count; ++i) {
    Word word = 0;
    for (std::size_t k = 0; k < sizeof(Word); ++k) {
      word = static_cast<Word>(word << 8 | planes[k * count + i]);
    }
    word = Bits::unrotated(word);
    std::memcpy(out + i * sizeof(Word), &word, sizeof word);
  }
}

// Where changes are of one size, a small weight moves by more of its own steps than a large one: so
// the context of a difference is how far its base's exponent lies below the page's largest.
template <class Bits>
Contexts base_contexts(ByteView base, CodecMemory::Parts& parts) {
  using Word = Bits::Bits;
  const std::size_t count = base.size() / sizeof(Word);
  std::uint8_t* __restrict const contexts = parts.base_contexts.data();
  const std::byte* __restrict const words = base.data();
  for (std::size_t i = 0; i < count; ++i) {
    Word word;
    std::memcpy(&word, words + i * sizeof(Word), sizeof word);
    contexts[i] = Bits::exponent(word);
  }
  const std::uint8_t most = largest({contexts, count});
  for (std::size_t i = 0; i < count; ++i) {
    const auto below = static_cast<std::uint8_t>(most - contexts[i]);
    contexts[i] = below < kMaxContexts ? below : kMaxContexts - 1;
  }
  return {{contexts, count}};
}

// How bytes are coded that are no floats: as they are, and as differences modulo 256.
std::size_t encode_bytes(ByteView raw, ByteView base, CodecMemory& memory, MutableByteView out) {
  std::uint8_t* const codes = memory.parts().codes.data();
  for (std::size_t i = 0; i < raw.size(); ++i) {
    const auto code = std::to_integer<unsigned>(raw[i]);
    codes[i] =
        static_cast<std::uint8_t>(base.empty() ? code : code - std::to_integer<unsigned>(base[i]));
  }
  return encode_page({codes, raw.size()}, {}, memory, out);
}

Result<void> decode_bytes(ByteView page, ByteView base, CodecMemory& memory, MutableByteView raw) {
  const std::span codes(memory.parts().codes.data(), raw.size());
  TRY_VOID(decode_page(page, {}, memory, codes));
  for (std::size_t i = 0; i < raw.size(); ++i) {
    const unsigned code = codes[i];
    raw[i] =
        static_cast<std::byte>(base.empty() ? code : code + std::to_integer<unsigned>(base[i]));
  }
  return {};
}

// u32 size and coded page of every plane.
template <class Bits>
std::size_t encode_planes(ByteView raw, CodecMemory& memory, MutableByteView out) {
  using Word = Bits::Bits;
  const std::size_t count = raw.size() / sizeof(Word);
  const std::uint8_t* const planes = memory.parts().codes.data();
  split<Bits>(raw, memory.parts().codes.data());
  std::size_t at = 0;
  for (std::size_t k = 0; k < sizeof(Word); ++k) {
    const std::size_t bytes =
        encode_page({planes + k * count, count}, {}, memory, out.subspan(at + kSizeBytes));
    store_le(out, at, static_cast<std::uint32_t>(bytes));
    at += kSizeBytes + bytes;
  }
  return at;
}

template <class Bits>
Result<void> decode_planes(ByteView body, CodecMemory& memory, MutableByteView raw) {
  using Word = Bits::Bits;
  const std::size_t count = raw.size() / sizeof(Word);
  std::uint8_t* const planes = memory.parts().codes.data();
  for (std::size_t k = 0; k < sizeof(Word); ++k) {
    if (body.size() < kSizeBytes) return corrupt("a plane is missing");
    const auto bytes = load_le<std::uint32_t>(body, 0);
    body = body.subspan(kSizeBytes);
    if (bytes > body.size()) return corrupt("a plane is cut short");
    TRY_VOID(decode_page(body.first(bytes), {}, memory, {planes + k * count, count}));
    body = body.subspan(bytes);
  }
  if (!body.empty()) return corrupt("there are bytes after the last plane");
  join<Bits>(planes, raw);
  return {};
}

template <class Bits>
std::size_t encode_difference(ByteView raw, ByteView base, CodecMemory& memory,
                              MutableByteView out) {
  using Word = Bits::Bits;
  return encode_tokens(raw.size() / sizeof(Word), base_contexts<Bits>(base, memory.parts()), memory,
                       out, [raw, base](std::size_t i) {
                         return Bits::difference(load_word<Word>(raw, i), load_word<Word>(base, i));
                       });
}

template <class Bits>
Result<void> decode_difference(ByteView body, ByteView base, CodecMemory& memory,
                               MutableByteView raw) {
  using Word = Bits::Bits;
  return decode_tokens(body, base_contexts<Bits>(base, memory.parts()), memory,
                       raw.size() / sizeof(Word), std::numeric_limits<Word>::max(),
                       [raw, base](std::size_t first, const std::uint32_t* __restrict differences,
                                   std::size_t some) {
                         std::byte* __restrict const out = raw.data() + first * sizeof(Word);
                         const std::byte* __restrict const old = base.data() + first * sizeof(Word);
                         for (std::size_t i = 0; i < some; ++i) {
                           Word word;
                           std::memcpy(&word, old + i * sizeof(Word), sizeof word);
                           word = Bits::add(word, static_cast<Word>(differences[i]));
                           std::memcpy(out + i * sizeof(Word), &word, sizeof word);
                         }
                       });
}

// Calls of<Bits>() for the floats that the elements are.
template <class Of>
auto with_bits(Element element, Of of) {
  if (element == Element::kBf16) return of(Bf16Bits());
  if (element == Element::kF16) return of(F16Bits());
  return of(F32Bits());
}

struct Encoded {
  ElementsForm form = ElementsForm::kRaw;
  std::size_t bytes = 0;
};

// A difference that is no shorter than planes usually are is tried against them.
constexpr bool surely_better(std::size_t bytes, std::size_t raw) { return bytes < raw / 8 * 5; }

template <class Bits>
Encoded encode_floats(ByteView raw, ByteView base, CodecMemory& memory, MutableByteView body) {
  if (base.empty()) return {ElementsForm::kPlanes, encode_planes<Bits>(raw, memory, body)};
  const std::size_t bytes = encode_difference<Bits>(raw, base, memory, body);
  if (surely_better(bytes, raw.size())) return {ElementsForm::kDifference, bytes};
  const MutableByteView beside = body.subspan(bytes);
  const std::size_t planes = encode_planes<Bits>(raw, memory, beside);
  if (planes >= bytes) return {ElementsForm::kDifference, bytes};
  std::memmove(body.data(), beside.data(), planes);
  return {ElementsForm::kPlanes, planes};
}

}  // namespace

std::size_t encode_elements(Element element, ByteView raw, ByteView base, CodecMemory& memory,
                            MutableByteView out) {
  CHECK(raw.size() <= kMaxElementBytes && raw.size() % bytes_of(element) == 0);
  CHECK(base.empty() || base.size() == raw.size());
  CHECK(out.size() >= elements_room(raw.size()));
  const MutableByteView body = out.subspan(kBodyAt);
  Encoded encoded;
  if (element == Element::kI8) {
    encoded = {base.empty() ? ElementsForm::kPlanes : ElementsForm::kDifference,
               encode_bytes(raw, base, memory, body)};
  } else {
    encoded = with_bits(
        element, [&]<class Bits>(Bits) { return encode_floats<Bits>(raw, base, memory, body); });
  }
  if (encoded.bytes >= raw.size()) {
    encoded = {ElementsForm::kRaw, raw.size()};
    if (!raw.empty()) std::memcpy(body.data(), raw.data(), raw.size());
  }
  out[0] = static_cast<std::byte>(encoded.form);
  return kBodyAt + encoded.bytes;
}

Result<void> decode_elements(Element element, ByteView page, ByteView base, CodecMemory& memory,
                             MutableByteView raw) {
  CHECK(raw.size() <= kMaxElementBytes && raw.size() % bytes_of(element) == 0);
  CHECK(base.empty() || base.size() == raw.size());
  if (page.empty()) return corrupt("the page is cut short");
  const auto form = static_cast<ElementsForm>(page[0]);
  const ByteView body = page.subspan(kBodyAt);
  if (form == ElementsForm::kRaw) {
    if (body.size() != raw.size()) return corrupt("the page is not of the elements' size");
    if (!raw.empty()) std::memcpy(raw.data(), body.data(), body.size());
    return {};
  }
  const bool difference = form == ElementsForm::kDifference;
  if (!difference && form != ElementsForm::kPlanes) {
    return corrupt("the page is of form " + std::to_string(std::to_integer<int>(page[0])));
  }
  if (difference && base.empty() && !raw.empty()) return corrupt("the page needs its base");
  if (element == Element::kI8) {
    return decode_bytes(body, difference ? base : ByteView(), memory, raw);
  }
  return with_bits(element, [&]<class Bits>(Bits) {
    return difference ? decode_difference<Bits>(body, base, memory, raw)
                      : decode_planes<Bits>(body, memory, raw);
  });
}

}  // namespace skein
