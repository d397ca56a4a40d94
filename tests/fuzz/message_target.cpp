// The first two bytes are the message type (any message of the wire), the rest its bytes.
#include "common/wire/messages.h"
#include "tests/fuzz/fuzz_target.h"

FUZZ_TARGET(message) {
  using namespace skein;
  if (input.size() < 2 || input.size() > fuzz::kMaxInput) return;
  const auto message = decode_message(load_le<std::uint16_t>(input, 0), input.subspan(2));
  if (!message) return;
  const auto again = decode_message(type_of(*message), encode_message(*message));
  CHECK(again.has_value() && *again == *message);
}
