// The tool's commands that make artifacts: import, compress, keys. Used by mains; main thread.
#pragma once

#include "common/cli/command.h"

namespace skein {

void add_compress_commands(CLI::App& tool, Command& chosen);

}  // namespace skein
