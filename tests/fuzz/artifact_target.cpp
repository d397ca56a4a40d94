// A .skein file: header, manifest, and every page that its manifest lists.
#include "common/artifact/artifact_file.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/support/memory_disk.h"

FUZZ_TARGET(artifact) {
  using namespace skein;
  if (input.size() > fuzz::kMaxInput) return;
  test::MemoryDisk disk;
  disk.place("/a.skein", to_buffer(input));
  const auto artifact = open_artifact(disk, "/a.skein");
  if (!artifact) return;
  const bool whole = (*artifact)->verify_all().has_value();
  const Manifest& manifest = (*artifact)->manifest();
  for (std::uint32_t i = 0; i < manifest.pages.size(); ++i) {
    const auto page = (*artifact)->page(PageIndex(i));
    CHECK(page.has_value() || !whole);
    if (page) CHECK(to_buffer(*page).size() == manifest.pages[i].bytes);
  }
  CHECK(!(*artifact)->page(PageIndex(static_cast<std::uint32_t>(manifest.pages.size()))));
}
