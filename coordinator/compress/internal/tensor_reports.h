// What a press did to each tensor. Pure; any thread.
#pragma once

#include "coordinator/compress/press.h"

namespace skein {

// Of every tensor of `artifact` that is not derived: its form, bytes and errors, against the
// `original` that was asked for and the `checkpoint` that was encoded. Tensor by tensor: never a
// second copy of the model.
Result<std::vector<TensorReport>> compare(const Checkpoint& original, const Checkpoint& checkpoint,
                                          PageSource& artifact);

}  // namespace skein
