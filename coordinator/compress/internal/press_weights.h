// PressWeights: the techniques that change weights: embedding, prune, lowrank, quantize, entropy.
// Private to the room; one thread, which lends others through Parallel.
#pragma once

#include "coordinator/compress/press.h"

namespace skein {

// Errors as press()'s.
Result<PressResult> press_weights(const PressInput& input, const CompressionPlan& plan);

}  // namespace skein
