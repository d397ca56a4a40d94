// A gauge that shows what a test puts there.
#pragma once

#include "common/env/pressure/pressure.h"

namespace skein::test {

class PlantedPressure final : public PressureGauge {
 public:
  Pressure sample() override { return now; }
  void on_pressure(std::function<void()> wake) override { tell = std::move(wake); }
  Pressure now{};
  std::function<void()> tell;  // as the kernel would; empty: nobody listens
};

}  // namespace skein::test
