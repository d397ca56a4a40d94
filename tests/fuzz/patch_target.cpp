// A patch, applied to an artifact of three small pages.
#include "common/delta/delta.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/support/sample_artifact.h"

FUZZ_TARGET(patch) {
  using namespace skein;
  if (input.size() > fuzz::kMaxInput) return;
  auto base = test::sample_artifact(1, 2);
  const auto made = apply_patch(base, input);
  if (!made) return;
  const Manifest& manifest = (*made)->manifest();
  for (std::uint32_t i = 0; i < manifest.pages.size(); ++i) {
    const auto page = (*made)->page(PageIndex(i));
    CHECK(page.has_value() && sha256(*page) == manifest.pages[i].digest);
  }
}
