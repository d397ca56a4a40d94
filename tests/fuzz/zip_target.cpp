#include "common/checkpoint/internal/zip.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/use_checkpoint.h"

FUZZ_TARGET(zip) {
  using namespace skein;
  if (input.size() > fuzz::kMaxInput) return;
  const auto entries = read_zip({.bytes = input, .file = "fuzz"}, Checksums::kIgnore);
  if (entries) {
    std::size_t total = 0;
    for (const ZipEntry& entry : *entries) total += to_buffer(entry.data).size();
    CHECK(total <= input.size());  // none overlap
  }
  const auto checkpoint = read_checkpoint(input, "fuzz");
  if (checkpoint) fuzz::use_checkpoint(*checkpoint);
}
