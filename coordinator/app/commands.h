// The tool's commands that talk to a coordinator: device, model, rollout, round, session. Used by
// mains; main thread.
#pragma once

#include "common/cli/command.h"

namespace skein {

void add_coordinator_commands(CLI::App& tool, Command& chosen);

}  // namespace skein
