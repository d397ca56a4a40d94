// The files of /proc and /sys as they are now. Any thread.
#pragma once

#include "common/env/pressure/pressure.h"

namespace skein::real {

class RealTextFiles final : public TextFiles {
 public:
  std::optional<std::string> read(const std::string& path) override;
  std::vector<std::string> names(const std::string& directory) override;
};

class RealPressure final : public PressureGauge {
 public:
  Pressure sample() override { return read_pressure(files_); }
  void give_back() override;

 private:
  RealTextFiles files_;
};

}  // namespace skein::real
