#include <algorithm>

#include "kernels/codecs/coded_page.h"
#include "kernels/codecs/internal/page_header.h"
#include "kernels/isa/isa.h"
#include "tests/fuzz/fuzz_target.h"

namespace {

using skein::ByteView;

std::span<const std::uint8_t> numbers(ByteView bytes) {
  return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}

}  // namespace

// First byte: how many contexts follow, which stand before the page.
FUZZ_TARGET(coded_page) {
  using namespace skein;
  static CodecMemory memory;
  if (input.empty() || input.size() > fuzz::kMaxInput) return;
  const std::size_t period = std::to_integer<std::size_t>(input[0]);
  if (input.size() < 1 + period) return;
  std::vector<std::uint8_t> contexts(period);
  std::ranges::transform(numbers(input.subspan(1, period)), contexts.begin(),
                         [](std::uint8_t value) { return value % kMaxContexts; });
  // Copies of their own size: reading beyond them is seen.
  Buffer page = to_buffer(input.subspan(1 + period));
  if (page.size() >= kPageHeaderBytes) {
    // Damage would end at the check.
    store_le(MutableByteView(page), 0, check_of(ByteView(page).subspan(kCheckedFrom)));
    const auto count = std::min(load_le<std::uint32_t>(page, 8), kMaxPageCodes);
    std::vector<std::uint8_t> out(count);
    std::vector<std::uint8_t> slow(count);
    CHECK(select_isa(""));
    const bool good = decode_page(page, {contexts}, memory, out).has_value();
    CHECK(select_isa("scalar"));
    CHECK(decode_page(page, {contexts}, memory, slow).has_value() == good);
    if (good) CHECK(out == slow);
    CHECK(select_isa(""));
  }

  // The other way: any bytes are codes.
  const std::vector<std::uint8_t> codes(numbers(page).begin(), numbers(page).end());
  Buffer made(coded_page_bound(codes.size()));
  made.resize(encode_page(codes, {contexts}, memory, made));
  made.shrink_to_fit();
  std::vector<std::uint8_t> back(codes.size());
  CHECK(decode_page(made, {contexts}, memory, back).has_value());
  CHECK(back == codes);
}
