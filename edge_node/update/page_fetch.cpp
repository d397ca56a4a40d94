#include "edge_node/update/page_fetch.h"

#include "common/crypto/sha256.h"

namespace skein {

Result<void> unpack_page(std::optional<PageCoder>& coder, const PagePart& part,
                         const PageEntry& entry, Buffer& payload) {
  if (part.coded && payload.size() <= coded_bound(entry.bytes)) {
    if (!coder) coder.emplace();
    Buffer page(entry.bytes);
    TRY_VOID(coder->decode(payload, page));
    payload = std::move(page);
  }
  if (payload.size() == entry.bytes) return {};
  return fail(Errc::kCorrupt, "a page of another size");
}

Task<Result<Buffer>> fetch_page(Uplink& uplink, PageEntry entry) {
  std::optional<Buffer> found;
  std::optional<PageCoder> coder;
  Message request = FetchPages{.pages = {entry.digest}, .coded = true};
  Peer::OnPart on_part = [&](Message part, Buffer payload) -> Task<Result<void>> {
    const auto* header = std::get_if<PagePart>(&part);
    if (header == nullptr) co_return fail(Errc::kCorrupt, "a part that is no page");
    if (header->page != entry.digest) co_return Result<void>{};
    CO_TRY_VOID(unpack_page(coder, *header, entry, payload));
    found = std::move(payload);
    co_return Result<void>{};
  };
  CO_TRY_VOID(
      co_await uplink.call_streaming(std::move(request), std::move(on_part), kFetchIdleLimit));
  if (!found) {
    co_return fail(Errc::kNotFound,
                   "the coordinator did not send page " + entry.digest.short_hex());
  }
  if (sha256(*found) != entry.digest) {
    co_return fail(Errc::kCorrupt, "the page that came does not match its hash",
                   entry.digest.short_hex());
  }
  co_return std::move(*found);
}

}  // namespace skein
