// What rwkv.cpp's converter does to the tensors of RWKV 4 to 6, undone. Pure; any thread.
#pragma once

#include <vector>

#include "common/checkpoint/checkpoint.h"
#include "common/checkpoint/internal/source.h"

namespace skein {

// Tells the version by the names; leaves what is none of the three as it is.
Result<void> restore_older_versions(const Source& source, std::vector<CheckpointTensor>& tensors);

}  // namespace skein
