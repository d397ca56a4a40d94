// The bytes are data.pkl in a sound zip with a few storages, so that what the pickle says of
// tensors is followed to the end.
#include "tests/common/checkpoint/sample_files.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/use_checkpoint.h"

FUZZ_TARGET(pickle) {
  using namespace skein;
  if (input.size() > fuzz::kMaxInput) return;
  const std::string file = zip_of({{"m/data.pkl", std::string(as_text(input))},
                                   {"m/data/0", std::string(64, 'a')},
                                   {"m/data/1", std::string(24, 'b')},
                                   {"m/data/2", std::string(4, 'c')}});
  const auto checkpoint = read_checkpoint(as_bytes(file), "fuzz");
  if (checkpoint) fuzz::use_checkpoint(*checkpoint);
}
