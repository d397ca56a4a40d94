#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/use_checkpoint.h"

FUZZ_TARGET(gguf) {
  using namespace skein;
  if (input.size() > fuzz::kMaxInput || detect_checkpoint(input) != CheckpointKind::kGguf) return;
  const auto checkpoint = read_checkpoint(input, "fuzz");
  if (checkpoint) fuzz::use_checkpoint(*checkpoint);
}
