// A gauge that shows what a test puts there.
#pragma once

#include "common/env/pressure/pressure.h"

namespace skein::test {

class PlantedPressure final : public PressureGauge {
 public:
  Pressure sample() override { return now; }
  Pressure now{};
};

}  // namespace skein::test
