// Log: events with named fields, one line each, no secrets, none per token.
// The owner of Env gives one; implementations must accept calls from any thread.
//   log.info("slot committed", {{"device", name}, {"artifact", digest.short_hex()}});
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace skein {

enum class LogLevel : unsigned char { kDebug, kInfo, kWarn, kError };

struct LogField {
  std::string_view key;
  std::string value;
  LogField(std::string_view k, std::string v) : key(k), value(std::move(v)) {}
  LogField(std::string_view k, const char* v) : key(k), value(v) {}
  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  template <class N>
    requires std::is_arithmetic_v<N>
  LogField(std::string_view k, N v) : key(k), value(std::to_string(v)) {}
};
using LogFields = std::initializer_list<LogField>;

class Log {
 public:
  virtual ~Log() = default;
  virtual void write(LogLevel level, std::string_view event, LogFields fields) = 0;

  void debug(std::string_view event, LogFields fields = {}) {
    write(LogLevel::kDebug, event, fields);
  }
  void info(std::string_view event, LogFields fields = {}) {
    write(LogLevel::kInfo, event, fields);
  }
  void warn(std::string_view event, LogFields fields = {}) {
    write(LogLevel::kWarn, event, fields);
  }
  void error(std::string_view event, LogFields fields = {}) {
    write(LogLevel::kError, event, fields);
  }
};

// Drops everything: for tests and short tools.
class NullLog final : public Log {
 public:
  void write(LogLevel, std::string_view, LogFields) override {}
};

}  // namespace skein
