#include "common/wire/messages.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>

#include <array>

#include "common/base/check.h"
#include "common/wire/internal/codec.h"

// Cap'n Proto is used as a serializer only: no RPC, no streams. Decoding is not validation (most
// bit-flipped messages still decode), so every field passes a FieldCheck after the library has
// passed the pointers, and the frame's checksum stands below both.

namespace skein {
namespace {

using capnp::word;

// Our own encoder starts a second segment only for a long message; a hostile one may ask for many.
constexpr std::uint32_t kMaxSegments = 64;
constexpr int kMaxNesting = 8;

// FlatArrayMessageReader checks its table too; this keeps the count within our own limit first.
bool segments_within_limit(ByteView bytes) {
  return bytes.size() >= 8 && bytes.size() % sizeof(word) == 0 &&
         load_le<std::uint32_t>(bytes, 0) < kMaxSegments;
}

template <class M>
Result<Message> decode_as(ByteView bytes) {
  std::vector<word> words(bytes.size() / sizeof(word));  // aligned, whatever `bytes` is
  std::memcpy(static_cast<void*>(words.data()), bytes.data(), bytes.size());
  capnp::ReaderOptions options;
  options.traversalLimitInWords = 2 * words.size() + 64;  // shared pointers may not amplify
  options.nestingLimit = kMaxNesting;
  capnp::FlatArrayMessageReader reader(kj::arrayPtr(words.data(), words.size()), options);
  if (reader.getEnd() != words.data() + words.size()) {
    return fail(Errc::kCorrupt, "bytes follow the message", std::string(wire::RowOf<M>::kName));
  }
  wire::FieldCheck check;
  M message;
  wire::read(check, reader.getRoot<typename wire::RowOf<M>::Schema>(), message);
  if (check.objection()) return tl::unexpected(*check.objection());
  return Message(std::move(message));
}

struct Decoder {
  std::uint16_t type;
  std::string_view name;
  Result<Message> (*decode)(ByteView);
};

template <class... M>
constexpr std::array<Decoder, sizeof...(M)> decoders_of(const std::variant<M...>*) {
  return {Decoder{wire::RowOf<M>::kType, wire::RowOf<M>::kName, &decode_as<M>}...};
}
constexpr auto kDecoders = decoders_of(static_cast<const Message*>(nullptr));

template <class M>
kj::Array<word> words_of(const M& from) {
  using Schema = typename wire::RowOf<M>::Schema;
  capnp::MallocMessageBuilder builder;
  wire::write(from, builder.initRoot<Schema>());
  if constexpr (wire::kHasGrown<M>) {
    const kj::Array<word> canonical = capnp::canonicalize(builder.getRoot<Schema>().asReader());
    const kj::ArrayPtr<const word> segment = canonical;
    return capnp::messageToFlatArray(kj::arrayPtr(&segment, 1));
  }
  CHECK(builder.getSegmentsForOutput().size() <= kMaxSegments);
  return capnp::messageToFlatArray(builder);
}

}  // namespace

std::uint16_t type_of(const Message& message) { return kDecoders[message.index()].type; }
std::string_view name_of(const Message& message) { return kDecoders[message.index()].name; }

Buffer encode_message(const Message& message) {
  const auto words = std::visit([]<class M>(const M& from) { return words_of(from); }, message);
  const auto bytes = words.asBytes();
  CHECK(bytes.size() <= kMaxMessageBytes);
  return to_buffer(std::as_bytes(std::span(bytes.begin(), bytes.size())));
}

Result<Message> decode_message(std::uint16_t type, ByteView bytes) {
  for (const Decoder& decoder : kDecoders) {
    if (decoder.type != type) continue;
    if (bytes.size() > kMaxMessageBytes || !segments_within_limit(bytes)) {
      return fail(Errc::kCorrupt,
                  "a message of " + std::to_string(bytes.size()) + " bytes is not well formed",
                  std::string(decoder.name));
    }
    try {
      return decoder.decode(bytes);
    } catch (const kj::Exception& thrown) {
      return fail(Errc::kCorrupt,
                  std::string("a message is not of its schema: ") + thrown.getDescription().cStr(),
                  std::string(decoder.name));
    }
  }
  return fail(Errc::kUnsupported, "there is no message type " + std::to_string(type), {},
              "upgrade the older side");
}

}  // namespace skein
