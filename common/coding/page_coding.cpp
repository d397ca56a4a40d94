#include "common/coding/page_coding.h"

#include <zstd.h>

#include <algorithm>
#include <optional>
#include <string>

#include "kernels/codecs/elements.h"
#include "kernels/codecs/quantized.h"

namespace skein {

static_assert(kMaxCodablePage <= kMaxQuantizedBytes && kMaxCodablePage <= kMaxElementBytes);

struct FreeDecompressor {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

struct PageCoder::Memory {
  QuantizedMemory quantized;
  Buffer room;
  std::unique_ptr<ZSTD_DCtx, FreeDecompressor> zstd;  // made when a page needs it
};

namespace {

enum class PageForm : std::uint8_t { kStored = 0, kParts = 1 };
enum class PartKind : std::uint8_t {
  kStored = 0,
  kFill = 1,
  kZstd = 2,
  kElements = 3,
  kQuantized = 4
};

constexpr int kZstdLevel = 19;
constexpr std::size_t kLeastForZstd = 64;
constexpr std::size_t kMostGap = 64;  // between vectors that are coded as one

tl::unexpected<Error> corrupt(std::string what) {
  return fail(Errc::kCorrupt, std::move(what), "coded page", "fetch the page again");
}

std::optional<Element> element_of(Format format) {
  if (format == Format::kF32) return Element::kF32;
  if (format == Format::kBf16) return Element::kBf16;
  if (format == Format::kF16) return Element::kF16;
  return std::nullopt;
}

// Parts of one page, appended one after another.
class PartWriter {
 public:
  PartWriter(ByteView page, QuantizedMemory& memory, Buffer& room, Buffer& out)
      : page_(page), memory_(memory), room_(room), out_(out) {}

  void plain(std::size_t begin, std::size_t end) {
    if (begin == end) return;
    const ByteView bytes = page_.subspan(begin, end - begin);
    if (std::ranges::all_of(bytes, [&](std::byte byte) { return byte == bytes[0]; })) {
      put(PartKind::kFill);
      append_le(out_, static_cast<std::uint32_t>(bytes.size()));
      out_.push_back(bytes[0]);
      return;
    }
    if (bytes.size() < kLeastForZstd) return stored(bytes);
    room_.resize(ZSTD_compressBound(bytes.size()));
    const std::size_t size =
        ZSTD_compress(room_.data(), room_.size(), bytes.data(), bytes.size(), kZstdLevel);
    CHECK(!ZSTD_isError(size));
    if (size >= bytes.size()) return stored(bytes);
    put(PartKind::kZstd);
    append_le(out_, static_cast<std::uint32_t>(bytes.size()));
    body(ByteView(room_).first(size));
  }

  void elements(Format format, std::size_t begin, std::size_t end) {
    const ByteView bytes = page_.subspan(begin, end - begin);
    room_.resize(elements_room(bytes.size()));
    const std::size_t size = encode_elements(*element_of(format), bytes, {}, memory_.codec, room_);
    if (size >= bytes.size()) return plain(begin, end);
    put(PartKind::kElements);
    out_.push_back(static_cast<std::byte>(format));
    append_le(out_, static_cast<std::uint32_t>(bytes.size()));
    body(ByteView(room_).first(size));
  }

  void quantized(const PageSegment& part) {
    const ByteView bytes = page_.subspan(part.offset, part.bytes());
    room_.clear();
    encode_quantized({part.format, part.layout, part.rows, part.cols}, bytes, memory_, room_);
    if (room_.size() >= bytes.size()) return plain(part.offset, part.offset + bytes.size());
    put(PartKind::kQuantized);
    out_.push_back(static_cast<std::byte>(part.format));
    out_.push_back(static_cast<std::byte>(part.layout));
    append_le(out_, part.rows);
    append_le(out_, part.cols);
    body(room_);
  }

 private:
  void put(PartKind kind) { out_.push_back(static_cast<std::byte>(kind)); }
  void body(ByteView bytes) {
    append_le(out_, static_cast<std::uint32_t>(bytes.size()));
    append(out_, bytes);
  }
  void stored(ByteView bytes) {
    put(PartKind::kStored);
    body(bytes);
  }

  ByteView page_;
  QuantizedMemory& memory_;
  Buffer& room_;
  Buffer& out_;
};

// Takes a coded page apart, never past its end.
class PartReader {
 public:
  using Decompressor = std::unique_ptr<ZSTD_DCtx, FreeDecompressor>;
  PartReader(ByteView coded, QuantizedMemory& memory, Decompressor& zstd)
      : coded_(coded), memory_(memory), zstd_(zstd) {}

  bool at_end() const { return coded_.empty(); }

  // One part to the front of `page`; how many bytes it made, at least one.
  Result<std::size_t> read(MutableByteView page) {
    TRY(const auto kind, take<std::uint8_t>());
    switch (static_cast<PartKind>(kind)) {
      case PartKind::kStored:
        return stored(page);
      case PartKind::kFill:
        return fill(page);
      case PartKind::kZstd:
        return zstd(page);
      case PartKind::kElements:
        return elements(page);
      case PartKind::kQuantized:
        return quantized(page);
    }
    return corrupt("a part is of kind " + std::to_string(kind));
  }

 private:
  template <class T>
  Result<T> take() {
    if (coded_.size() < sizeof(T)) return corrupt("a part is cut short");
    const T value = load_le<T>(coded_, 0);
    coded_ = coded_.subspan(sizeof(T));
    return value;
  }
  Result<ByteView> take_body() {
    TRY(const auto size, take<std::uint32_t>());
    if (size > coded_.size()) return corrupt("a part is cut short");
    const ByteView body = coded_.first(size);
    coded_ = coded_.subspan(size);
    return body;
  }
  // What a part fills of the page.
  static Result<MutableByteView> fills(MutableByteView page, std::uint64_t bytes) {
    if (bytes == 0 || bytes > page.size()) return corrupt("a part does not fit into the page");
    return page.first(bytes);
  }

  Result<std::size_t> stored(MutableByteView page) {
    TRY(const ByteView body, take_body());
    TRY(const MutableByteView to, fills(page, body.size()));
    std::ranges::copy(body, to.begin());
    return to.size();
  }
  Result<std::size_t> fill(MutableByteView page) {
    TRY(const auto bytes, take<std::uint32_t>());
    TRY(const auto value, take<std::byte>());
    TRY(const MutableByteView to, fills(page, bytes));
    std::ranges::fill(to, value);
    return to.size();
  }
  Result<std::size_t> zstd(MutableByteView page) {
    TRY(const auto bytes, take<std::uint32_t>());
    TRY(const MutableByteView to, fills(page, bytes));
    TRY(const ByteView body, take_body());
    if (!zstd_) zstd_.reset(ZSTD_createDCtx());
    const std::size_t made =
        ZSTD_decompressDCtx(zstd_.get(), to.data(), to.size(), body.data(), body.size());
    if (ZSTD_isError(made) || made != to.size()) return corrupt("a part does not unpack");
    return to.size();
  }
  Result<std::size_t> elements(MutableByteView page) {
    TRY(const auto format, take<std::uint8_t>());
    TRY(const auto bytes, take<std::uint32_t>());
    TRY(const MutableByteView to, fills(page, bytes));
    TRY(const ByteView body, take_body());
    const auto element = element_of(static_cast<Format>(format));
    if (!element || bytes % bytes_of(*element) != 0) {
      return corrupt("a part of floats is of format " + std::to_string(format));
    }
    TRY_VOID(decode_elements(*element, body, {}, memory_.codec, to));
    return to.size();
  }
  Result<std::size_t> quantized(MutableByteView page) {
    QuantizedShape shape;
    TRY(const auto format, take<std::uint8_t>());
    TRY(const auto layout, take<std::uint8_t>());
    TRY(shape.rows, take<std::uint32_t>());
    TRY(shape.cols, take<std::uint32_t>());
    shape.format = static_cast<Format>(format);
    shape.layout = static_cast<Layout>(layout);
    const bool known = name_of(shape.format) != "unknown" && is_quantized(shape.format) &&
                       name_of(shape.layout) != "unknown";
    // Before anything is multiplied: a code has at least four bits.
    const bool fits = std::max(shape.rows, shape.cols) <= 2 * kMaxCodablePage;
    if (!known || !fits) return corrupt("a part is of an unknown format or shape");
    TRY(const MutableByteView to, fills(page, shape.bytes()));
    TRY(const ByteView body, take_body());
    TRY_VOID(decode_quantized(shape, body, memory_, to));
    return to.size();
  }

  ByteView coded_;
  QuantizedMemory& memory_;
  Decompressor& zstd_;
};

}  // namespace

Buffer stored_page(ByteView page) {
  Buffer out = {static_cast<std::byte>(PageForm::kStored)};
  append(out, page);
  return out;
}

PageCoder::PageCoder() : memory_(std::make_unique<Memory>()) {}
PageCoder::~PageCoder() = default;
PageCoder::PageCoder(PageCoder&&) noexcept = default;
PageCoder& PageCoder::operator=(PageCoder&&) noexcept = default;

Buffer PageCoder::code(ByteView page, std::span<const PageSegment> parts) {
  CHECK(page.size() <= kMaxCodablePage);
  Buffer out = {static_cast<std::byte>(PageForm::kParts)};
  PartWriter writer(page, memory_->quantized, memory_->room, out);
  std::size_t done = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const PageSegment& part = parts[i];
    const std::uint64_t bytes = part.bytes();
    if (bytes == 0 || part.offset < done || part.offset + bytes > page.size()) continue;
    writer.plain(done, part.offset);
    done = part.offset + bytes;
    if (is_quantized(part.format)) {
      writer.quantized(part);
      continue;
    }
    // Vectors that follow one another share statistics.
    for (; i + 1 < parts.size() && parts[i + 1].format == part.format; ++i) {
      const PageSegment& next = parts[i + 1];
      const bool close = next.offset >= done && next.offset - done < kMostGap;
      if (!close || next.bytes() == 0 || next.offset + next.bytes() > page.size()) break;
      if ((next.offset - part.offset) % bytes_of(*element_of(part.format)) != 0) break;
      done = next.offset + next.bytes();
    }
    writer.elements(part.format, part.offset, done);
  }
  writer.plain(done, page.size());
  return out.size() < coded_bound(page.size()) ? out : stored_page(page);
}

Result<void> PageCoder::decode_again(ByteView coded, MutableByteView page) {
  memory_->quantized.codec.compare_checks(false);
  const auto decoded = decode(coded, page);
  memory_->quantized.codec.compare_checks(true);
  return decoded;
}

Result<void> PageCoder::decode(ByteView coded, MutableByteView page) {
  if (page.size() > kMaxCodablePage) return corrupt("no page has so many bytes");
  if (coded.empty()) return corrupt("the page is cut short");
  const auto form = std::to_integer<std::uint8_t>(coded[0]);
  coded = coded.subspan(1);
  if (form == static_cast<std::uint8_t>(PageForm::kStored)) {
    if (coded.size() != page.size()) return corrupt("the page is of another size");
    std::ranges::copy(coded, page.begin());
    return {};
  }
  if (form != static_cast<std::uint8_t>(PageForm::kParts)) {
    return corrupt("the page is of form " + std::to_string(form));
  }
  PartReader reader(coded, memory_->quantized, memory_->zstd);
  while (!page.empty()) {
    TRY(const std::size_t made, reader.read(page));
    page = page.subspan(made);
  }
  if (!reader.at_end()) return corrupt("there are bytes after the last part");
  return {};
}

}  // namespace skein
