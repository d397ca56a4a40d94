// RWKV-7 under the names that flash-linear-attention's models have on Hugging Face, and the models
// that Hugging Face cuts into several files. Pure; any thread.
#pragma once

#include <vector>

#include "common/checkpoint/checkpoint.h"
#include "common/checkpoint/internal/source.h"

namespace skein {

// Official names and shapes for tensors that have Hugging Face's; leaves those of other files as
// they are. Errc::kUnsupported: RWKV 4 to 6, and tensors that RWKV-7 does not have.
Result<void> translate_hugging_face(const Source& source, std::vector<CheckpointTensor>& tensors);

// "model-00001-of-00002.safetensors" and the JSON file that lists such parts.
bool is_shard_name(std::string_view file_name);
bool is_shard_index(const Source& source);
tl::unexpected<Error> refuse_shards(const Source& source);

}  // namespace skein
