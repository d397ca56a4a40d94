// TinyModel: a small RWKV-7 made from a seed, with an ASCII vocabulary: enough model for a fleet of
// fifty in one process. Its answers mean nothing; its arithmetic, pages and gradients are the real
// ones. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/checkpoint/checkpoint.h"

namespace skein {

struct TinyModel {
  std::vector<Buffer> storage;  // what the checkpoint's views point into
  Checkpoint checkpoint;        // 2 layers, width 64, one head, channel-mix 128, vocabulary 257
  std::string vocabulary;       // ids 1..256: printable bytes, and pairs of letters
};

// `version` moves the weights of the last layer's channel-mix only, as a small fine-tuning would:
// two versions of one seed share most of their pages.
TinyModel tiny_model(std::uint64_t seed, unsigned version);

}  // namespace skein
