#include "edge_node/paging/internal/stored_pages.h"

#include <algorithm>

namespace skein::paging {

Result<void> StoredPages::check(std::uint32_t page, ByteView bytes, Sha256& hasher) const {
  if (hasher.of(bytes) == manifest.pages[page].digest) return {};
  return does_not_match(page);
}

tl::unexpected<Error> StoredPages::does_not_match(std::uint32_t page,
                                                  const std::string& part) const {
  note_damage(page);
  return fail(Errc::kCorrupt,
              "page " + std::to_string(page) + " of " + digest.short_hex() +
                  " does not match its hash" + (part.empty() ? "" : " (" + part + ")"),
              file + ", offset " + std::to_string(offsets[page]), "fetch the artifact again");
}

tl::unexpected<Error> StoredPages::does_not_decode(std::uint32_t page, const Error& error) const {
  note_damage(page);
  return fail(Errc::kCorrupt,
              "page " + std::to_string(page) + " of " + digest.short_hex() +
                  " does not decode: " + error.what,
              file + ", offset " + std::to_string(offsets[page]), "fetch the artifact again");
}

Error StoredPages::of_page(std::uint32_t page, Error error) const {
  note_damage(page);
  return within("page " + std::to_string(page) + " of " + digest.short_hex(), std::move(error));
}

tl::unexpected<Error> silent_storage(std::string file) {
  return fail(Errc::kDeadline, "storage did not answer in a minute", std::move(file),
              "check the device");
}

Result<void> read_now(BlockReads& reads, std::uint64_t offset, MutableByteView out,
                      std::uint64_t call, std::size_t piece) {
  constexpr std::size_t kAtOnce = 16;
  std::size_t begun = 0, out_there = 0;
  Result<void> outcome;
  while (begun < out.size() || out_there > 0) {
    while (begun < out.size() && out_there < kAtOnce && outcome) {
      const std::size_t bytes = std::min(piece, out.size() - begun);
      const BlockRead one = {offset + begun, out.subspan(begun, bytes), call};
      outcome = reads.submit(std::span(&one, 1));
      if (!outcome) break;
      begun += bytes;
      ++out_there;
    }
    if (out_there == 0) break;
    BlockReadDone done[kAtOnce];
    const std::size_t taken = reads.wait(done, 1, kReadDeadline);
    if (taken == 0) {
      return silent_storage();
    }
    for (std::size_t i = 0; i < taken; ++i) {
      if (done[i].tag != call) continue;  // left by a call that gave up
      --out_there;
      if (!done[i].result) outcome = tl::unexpected<Error>(done[i].result.error());
    }
    if (!outcome && out_there == 0) break;
  }
  return outcome;
}

}  // namespace skein::paging
