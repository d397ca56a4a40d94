// StderrLog: events as lines on standard error, text or JSON, through spdlog. Any thread.
#pragma once

#include <memory>
#include <string>

#include "common/base/log.h"
#include "common/env/real/real_env.h"

namespace spdlog {
class logger;
}

namespace skein::real {

class StderrLog final : public Log {
 public:
  StderrLog(LogLevel level, LogFormat format);
  ~StderrLog() override;
  void write(LogLevel level, std::string_view event, LogFields fields) override;

 private:
  LogLevel level_;
  LogFormat format_;
  std::unique_ptr<spdlog::logger> logger_;
};

// The part of the line after the time.
std::string text_line(LogLevel level, std::string_view event, LogFields fields);
std::string json_line(LogLevel level, std::string_view event, LogFields fields);

}  // namespace skein::real
