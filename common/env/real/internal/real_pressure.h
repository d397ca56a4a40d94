// The files of /proc and /sys as they are now (any thread), and the kernel's own word that they
// changed (loop thread).
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>

#include "common/env/pressure/pressure.h"

namespace skein::real {

class RealTextFiles final : public TextFiles {
 public:
  std::optional<std::string> read(const std::string& path) override;
  std::vector<std::string> names(const std::string& directory) override;
};

// Waits for the triggers while there is somebody to tell. One that is absent, not permitted or not
// understood by this kernel is left out.
class PressureWatch {
 public:
  explicit PressureWatch(boost::asio::io_context& loop);
  ~PressureWatch();
  PressureWatch(const PressureWatch&) = delete;
  PressureWatch& operator=(const PressureWatch&) = delete;
  void start(const std::vector<PressureTrigger>& triggers, std::function<void()> wake);
  void stop();
  std::size_t watched() const { return files_.size(); }

 private:
  struct Watched;
  void await(const std::shared_ptr<Watched>& watched);
  void told(const std::shared_ptr<Watched>& watched);

  boost::asio::io_context& loop_;
  std::function<void()> wake_;
  std::vector<std::shared_ptr<Watched>> files_;
};

class RealPressure final : public PressureGauge {
 public:
  explicit RealPressure(boost::asio::io_context& loop) : watch_(loop) {}
  Pressure sample() override { return read_pressure(files_); }
  void give_back() override;
  void on_pressure(std::function<void()> wake) override {
    watch_.stop();
    if (wake) watch_.start(pressure_triggers(files_), std::move(wake));
  }

 private:
  RealTextFiles files_;
  PressureWatch watch_;
};

}  // namespace skein::real
