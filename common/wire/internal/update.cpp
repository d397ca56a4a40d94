#include "common/base/check.h"
#include "common/wire/internal/codec.h"

namespace skein::wire {

void write(const FetchManifest& from, schema::FetchManifest::Builder to) {
  to.setArtifact(out_bytes(from.artifact.bytes));
}
void read(FieldCheck& check, schema::FetchManifest::Reader from, FetchManifest& to) {
  to.artifact = check.digest(from.getArtifact(), "FetchManifest.artifact");
}

void write(const ManifestPart& from, schema::ManifestPart::Builder to) {
  to.setOffset(from.offset);
  to.setTotal(from.total);
}
void read(FieldCheck&, schema::ManifestPart::Reader from, ManifestPart& to) {
  to.offset = from.getOffset();
  to.total = from.getTotal();
}

void write(const FetchPages& from, schema::FetchPages::Builder to) {
  CHECK(from.pages.size() <= kMaxPagesPerFetch);
  auto pages = to.initPages(static_cast<unsigned>(from.pages.size()));
  for (unsigned i = 0; i < pages.size(); ++i) pages.set(i, out_bytes(from.pages[i].bytes));
  to.setCoded(from.coded);
}
void read(FieldCheck& check, schema::FetchPages::Reader from, FetchPages& to) {
  const auto pages = from.getPages();
  const unsigned count = check.length(pages.size(), kMaxPagesPerFetch, "FetchPages.pages");
  to.pages.reserve(count);
  for (unsigned i = 0; i < count; ++i) {
    to.pages.push_back(check.digest(pages[i], "FetchPages.pages"));
  }
  to.coded = from.getCoded();
}

void write(const PagePart& from, schema::PagePart::Builder to) {
  to.setPage(out_bytes(from.page.bytes));
  to.setCoded(from.coded);
}
void read(FieldCheck& check, schema::PagePart::Reader from, PagePart& to) {
  to.page = check.digest(from.getPage(), "PagePart.page");
  to.coded = from.getCoded();
}

}  // namespace skein::wire
