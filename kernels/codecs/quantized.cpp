#include "kernels/codecs/quantized.h"

#include <algorithm>
#include <string>

#include "kernels/codecs/internal/code_classes.h"
#include "kernels/codecs/internal/code_planes.h"
#include "kernels/codecs/internal/codec_memory.h"

namespace skein {
namespace {

constexpr std::uint8_t kDifferences = 1;  // flag: heads are told by the one before
constexpr std::size_t kSizeBytes = sizeof(std::uint32_t);

tl::unexpected<Error> corrupt(std::string what) {
  return fail(Errc::kCorrupt, std::move(what), "coded matrix", "fetch the page again");
}

void append_page(std::span<const std::uint8_t> codes, Contexts contexts, CodecMemory& memory,
                 Buffer& out) {
  const std::size_t at = out.size();
  out.resize(at + kSizeBytes + coded_page_bound(codes.size()));
  const std::size_t bytes =
      encode_page(codes, contexts, memory, MutableByteView(out).subspan(at + kSizeBytes));
  store_le(out, at, static_cast<std::uint32_t>(bytes));
  out.resize(at + kSizeBytes + bytes);
}

// Coded pages one after another, each after its size.
class PageReader {
 public:
  PageReader(ByteView bytes, CodecMemory& memory) : bytes_(bytes), memory_(memory) {}

  Result<void> read(Contexts contexts, std::span<std::uint8_t> codes) {
    if (bytes_.size() < kSizeBytes) return corrupt("a part of the matrix is missing");
    const auto size = load_le<std::uint32_t>(bytes_, 0);
    if (size > bytes_.size() - kSizeBytes) return corrupt("a part of the matrix is cut short");
    const ByteView page = bytes_.subspan(kSizeBytes, size);
    bytes_ = bytes_.subspan(kSizeBytes + size);
    return decode_page(page, contexts, memory_, codes);
  }
  bool at_end() const { return bytes_.empty(); }

 private:
  ByteView bytes_;
  CodecMemory& memory_;
};

// Calls of(i, j) for every head i but the first, in order; j is the one that says most about it:
// the same row's group before, at a row's begin whatever stands before it.
void for_heads(const QuantizedShape& shape, auto of) {
  const std::size_t stride = shape.layout == Layout::kTiles ? kTileRows : 1;
  std::size_t group = 0;
  for (std::size_t block = 0; block < shape.heads(); block += stride) {
    const std::size_t back = group == 0 ? 1 : stride;
    for (std::size_t i = block == 0 ? 1 : block; i < block + stride; ++i) of(i, i - back);
    group = group + 1 == shape.groups() ? 0 : group + 1;
  }
}

void append_heads(std::span<const std::uint16_t> heads, QuantizedMemory& memory, Buffer& out) {
  memory.plane.resize(heads.size());
  for (const unsigned shift : {8U, 0U}) {
    for (std::size_t i = 0; i < heads.size(); ++i) {
      memory.plane[i] = static_cast<std::uint8_t>(heads[i] >> shift);
    }
    append_page(memory.plane, {}, memory.codec, out);
  }
}

// As they are or as differences, whichever is shorter; the flags.
std::uint8_t append_shorter_heads(const QuantizedShape& shape, QuantizedMemory& memory,
                                  Buffer& out) {
  const std::size_t begin = out.size();
  append_heads(memory.heads, memory, out);
  std::vector<std::uint16_t> differences = memory.heads;
  for_heads(shape, [&](std::size_t i, std::size_t before) {
    differences[i] = static_cast<std::uint16_t>(memory.heads[i] - memory.heads[before]);
  });
  const std::size_t middle = out.size();
  append_heads(differences, memory, out);
  const bool shorter = out.size() - middle < middle - begin;
  if (shorter) {
    out.erase(out.begin() + static_cast<std::ptrdiff_t>(begin),
              out.begin() + static_cast<std::ptrdiff_t>(middle));
  } else {
    out.resize(middle);
  }
  return shorter ? kDifferences : 0;
}

Result<void> read_heads(const QuantizedShape& shape, std::uint8_t flags, PageReader& pages,
                        QuantizedMemory& memory) {
  const std::size_t count = shape.heads();
  memory.plane.resize(count);
  memory.heads.resize(count);
  std::uint16_t* __restrict const heads = memory.heads.data();
  const std::uint8_t* __restrict const plane = memory.plane.data();
  TRY_VOID(pages.read({}, memory.plane));
  for (std::size_t i = 0; i < count; ++i) heads[i] = static_cast<std::uint16_t>(plane[i] << 8);
  TRY_VOID(pages.read({}, memory.plane));
  for (std::size_t i = 0; i < count; ++i) heads[i] |= plane[i];
  if ((flags & kDifferences) == 0) return {};
  for_heads(shape, [heads](std::size_t i, std::size_t before) {
    heads[i] = static_cast<std::uint16_t>(heads[i] + heads[before]);
  });
  return {};
}

Contexts contexts_at(std::span<const std::uint8_t> contexts, std::size_t at, std::size_t some) {
  return {contexts.empty() ? contexts : contexts.subspan(at, some)};
}

}  // namespace

void encode_quantized(const QuantizedShape& shape, ByteView stored, QuantizedMemory& memory,
                      Buffer& out) {
  CHECK(stored.size() == shape.bytes() && stored.size() <= kMaxQuantizedBytes);
  memory.codes.resize(shape.codes());
  memory.heads.resize(shape.heads());
  split_codes(shape, stored, memory.codes, memory.heads);
  const std::size_t front = out.size();
  out.resize(front + 2);
  const std::uint8_t flags = append_shorter_heads(shape, memory, out);
  const ClassesOf of = choose_classes(shape, memory.codes, memory.heads, memory.classes);
  out[front] = std::byte{flags};
  out[front + 1] = static_cast<std::byte>(of);
  memory.contexts.clear();
  if (of != ClassesOf::kNothing) {
    append_page(memory.classes, {}, memory.codec, out);
    memory.contexts.resize(shape.codes());
    spread_classes(shape, of, memory.classes, memory.heads, memory.contexts);
  }
  for (std::size_t at = 0; at < memory.codes.size(); at += kMaxPageCodes) {
    const std::size_t some = std::min<std::size_t>(kMaxPageCodes, memory.codes.size() - at);
    append_page(std::span(memory.codes).subspan(at, some), contexts_at(memory.contexts, at, some),
                memory.codec, out);
  }
}

Result<void> decode_quantized(const QuantizedShape& shape, ByteView coded, QuantizedMemory& memory,
                              MutableByteView stored) {
  CHECK(stored.size() == shape.bytes() && stored.size() <= kMaxQuantizedBytes);
  if (coded.size() < 2) return corrupt("the matrix is cut short");
  const auto flags = std::to_integer<std::uint8_t>(coded[0]);
  const auto of = static_cast<ClassesOf>(coded[1]);
  const auto count = count_classes(shape, of);
  if (flags > kDifferences || !count) return corrupt("the matrix is coded in an unknown way");
  PageReader pages(coded.subspan(2), memory.codec);
  TRY_VOID(read_heads(shape, flags, pages, memory));
  memory.codes.resize(shape.codes());
  memory.contexts.clear();
  if (of != ClassesOf::kNothing) {
    memory.classes.resize(*count);
    TRY_VOID(pages.read({}, memory.classes));
    if (largest(memory.classes) >= kMaxContexts) return corrupt("there are too many classes");
    memory.contexts.resize(shape.codes());
    spread_classes(shape, of, memory.classes, memory.heads, memory.contexts);
  }
  for (std::size_t at = 0; at < memory.codes.size(); at += kMaxPageCodes) {
    const std::size_t some = std::min<std::size_t>(kMaxPageCodes, memory.codes.size() - at);
    TRY_VOID(pages.read(contexts_at(memory.contexts, at, some),
                        std::span(memory.codes).subspan(at, some)));
  }
  if (!pages.at_end()) return corrupt("there are bytes after the matrix");
  if (shape.format != Format::kQ8 && largest(memory.codes) >> bits_of_code(shape.format) != 0) {
    return corrupt("a code has more bits than the format");
  }
  join_codes(shape, memory.codes, memory.heads, stored);
  return {};
}

}  // namespace skein
