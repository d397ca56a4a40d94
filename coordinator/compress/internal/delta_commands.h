// skein delta make and skein delta apply. Private to the room; main thread.
#pragma once

#include "common/cli/command.h"

namespace skein {

void add_delta_commands(CLI::App& tool, Command& chosen);

}  // namespace skein
