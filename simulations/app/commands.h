// The tool's commands that stand beside a fleet: simulate, relay, robot-log. Used by mains; main
// thread.
#pragma once

#include "common/cli/command.h"

namespace skein {

void add_simulation_commands(CLI::App& tool, Command& chosen);

}  // namespace skein
