// The four readers behind read_checkpoint. They check everything about each tensor's place; names
// across tensors are checked by their caller. Pure; any thread.
#pragma once

#include "common/checkpoint/checkpoint.h"
#include "common/checkpoint/internal/source.h"

namespace skein {

Result<Checkpoint> read_pth(const Source& source);
Result<Checkpoint> read_safetensors(const Source& source);
Result<Checkpoint> read_rwkv_cpp(const Source& source);
Result<Checkpoint> read_gguf(const Source& source);

}  // namespace skein
