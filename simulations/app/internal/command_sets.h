// The simulation commands, one function each. Private to the room; main thread.
#pragma once

#include <ostream>

#include "common/cli/command.h"

namespace skein::simulation {

void add_simulate(CLI::App& tool, Command& chosen);
void add_relay(CLI::App& tool, Command& chosen);
void add_robot_log(CLI::App& tool, Command& chosen);

}  // namespace skein::simulation
