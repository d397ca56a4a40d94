// The tool's commands that run a model: inspect, verify, tokenize, detokenize, logits, generate,
// chat, eval, bench; and tensors, which packs files of weights. Used by mains; main thread.
#pragma once

#include "common/cli/command.h"

namespace skein {

void add_model_commands(CLI::App& tool, Command& chosen);

}  // namespace skein
