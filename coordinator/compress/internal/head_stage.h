// HeadStage: the technique `head` after the others: the finished model's head in the order of its
// clusters, and beside it a screen or the hierarchical head, learned from a run of that model.
// Private to the room; one thread, which lends others through Parallel.
#pragma once

#include "coordinator/compress/internal/sparsity_stage.h"

namespace skein {

// `rest` presses what it is given. Errc::kUsage: too little text, more clusters than tokens, a rank
// above the width, or an artifact whose head has company already.
Result<PressResult> press_head(const PressInput& input, const CompressionPlan& plan,
                               const PressRest& rest);

}  // namespace skein
