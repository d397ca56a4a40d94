// A coded page of an artifact. Two bytes first: the page's size. Coded pages inside it have checks,
// which are mended so that damage goes on to what they protect.
#include <algorithm>

#include "common/coding/page_coding.h"
#include "kernels/codecs/internal/page_header.h"
#include "kernels/isa/isa.h"
#include "tests/fuzz/fuzz_target.h"

namespace {

using namespace skein;

// Every coded page that a size stands before.
void mend_checks(MutableByteView coded) {
  for (std::size_t at = 4; at + kPageHeaderBytes <= coded.size(); ++at) {
    const auto size = load_le<std::uint32_t>(coded, at - 4);
    if (size < kPageHeaderBytes || size > coded.size() - at) continue;
    const MutableByteView page = coded.subspan(at, size);
    if (std::to_integer<unsigned>(page[4]) > 2) continue;
    store_le(page, 0, check_of(ByteView(page).subspan(kCheckedFrom)));
    at += size;
  }
}

}  // namespace

FUZZ_TARGET(coded_artifact_page) {
  static PageCoder coder;
  if (input.size() < 4 || input.size() > fuzz::kMaxInput) return;
  const std::size_t bytes = load_le<std::uint16_t>(input, 0);
  Buffer coded = to_buffer(input.subspan(2));
  mend_checks(coded);
  coded.shrink_to_fit();
  Buffer page(bytes);
  Buffer slow(bytes);
  CHECK(select_isa(""));
  const bool good = coder.decode(coded, page).has_value();
  CHECK(select_isa("scalar"));
  CHECK(coder.decode(coded, slow).has_value() == good);
  CHECK(select_isa(""));
  if (good) CHECK(page == slow);

  // The other way: any bytes are a page, of parts that some of them name.
  std::vector<PageSegment> parts;
  constexpr Format kFormats[] = {Format::kF32, Format::kBf16, Format::kF16, Format::kQ8,
                                 Format::kQ6,  Format::kQ5,   Format::kQ4};
  for (std::size_t at = 0; at + 5 <= std::min<std::size_t>(coded.size(), 15); at += 5) {
    const auto number = [&](std::size_t i) {
      return std::to_integer<std::uint32_t>(coded[at + i]);
    };
    parts.push_back({.offset = number(0) * 64,
                     .format = kFormats[number(1) % std::size(kFormats)],
                     .layout = number(2) % 2 == 0 ? Layout::kRows : Layout::kTiles,
                     .rows = number(3),
                     .cols = number(4)});
  }
  const Buffer made = coder.code(coded, parts);
  CHECK(made.size() <= coded_bound(coded.size()));
  Buffer back(coded.size());
  CHECK(coder.decode(made, back).has_value());
  CHECK(back == coded);
}
