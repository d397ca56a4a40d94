// SimPressure: a kind machine, pressed now and then by spells that the seed draws: memory runs
// short, it gets hot, the battery is nearly empty. Drawn in order from a stream of its own, so what
// is sampled at an instant does not depend on how often one looked before.
#pragma once

#include "common/env/pressure/pressure.h"
#include "simulations/world/internal/core.h"
#include "simulations/world/internal/senses.h"

namespace skein::sim {

class SimPressure final : public PressureGauge {
 public:
  // `planted`: what a scenario has set, for as long as it has; it outlives this.
  SimPressure(Core& core, std::string_view name, const std::optional<Pressure>& planted)
      : core_(core), random_(core, name), planted_(planted) {}
  Pressure sample() override;

 private:
  struct Spell {
    Instant begin{};
    Instant end{};
    bool memory = false;
    bool hot = false;
    bool battery = false;
    double severity = 0;  // 0 to 1
  };
  void draw_next();

  Core& core_;
  SimRandom random_;
  const std::optional<Pressure>& planted_;
  Spell spell_;         // the one going on or to come
  Duration stalled_{};  // in the spells before
};

}  // namespace skein::sim
