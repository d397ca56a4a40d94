#include "simulations/app/commands.h"

#include "simulations/app/internal/command_sets.h"

namespace skein {

void add_simulation_commands(CLI::App& tool, Command& chosen) {
  simulation::add_simulate(tool, chosen);
  simulation::add_relay(tool, chosen);
  simulation::add_robot_log(tool, chosen);
}

}  // namespace skein
