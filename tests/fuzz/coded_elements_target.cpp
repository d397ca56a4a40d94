#include <algorithm>

#include "kernels/codecs/elements.h"
#include "kernels/codecs/integers.h"
#include "tests/fuzz/fuzz_target.h"

// First byte: which elements; second: how many of 64 bytes are the base, a page follows.
FUZZ_TARGET(coded_elements) {
  using namespace skein;
  static CodecMemory memory;
  if (input.size() < 2 || input.size() > fuzz::kMaxInput) return;
  const auto element = static_cast<Element>(std::to_integer<unsigned>(input[0]) % 4);
  const std::size_t wanted = std::to_integer<std::size_t>(input[1]) * 64;
  input = input.subspan(2);
  const Buffer base = to_buffer(input.first(std::min(wanted, input.size() / 4 * 4)));
  const Buffer page = to_buffer(input.subspan(base.size()));
  Buffer raw(base.empty() ? 1024 : base.size());
  (void)decode_elements(element, page, base, memory, raw);
  std::vector<std::int16_t> small(raw.size());
  (void)decode_integers(page, {}, memory, std::span(small));

  // The other way: any bytes are elements.
  const std::size_t bytes = std::min(page.size() / 4 * 4, base.empty() ? page.size() : base.size());
  raw.assign(page.begin(), page.begin() + static_cast<std::ptrdiff_t>(bytes / 4 * 4));
  const ByteView same = ByteView(base).first(base.empty() ? 0 : raw.size());
  Buffer made(elements_room(raw.size()));
  made.resize(encode_elements(element, raw, same, memory, made));
  made.shrink_to_fit();
  Buffer back(raw.size());
  CHECK(decode_elements(element, made, same, memory, back).has_value());
  CHECK(back == raw);
}
