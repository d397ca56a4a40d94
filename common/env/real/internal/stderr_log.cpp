#include "common/env/real/internal/stderr_log.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <array>

namespace skein::real {

namespace {

constexpr std::array<std::string_view, 4> kLevels = {"debug", "info", "warn", "error"};

std::string_view name_of_level(LogLevel level) { return kLevels[static_cast<std::size_t>(level)]; }

void append_escaped(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  append_escaped(out, text);
  out += '"';
}

}  // namespace

std::string text_line(LogLevel level, std::string_view event, LogFields fields) {
  std::string line(name_of_level(level));
  line.resize(6, ' ');
  append_escaped(line, event);
  for (const LogField& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    const bool plain =
        !field.value.empty() && field.value.find_first_of(" =\"\\\n\t\r") == std::string::npos;
    if (plain) {
      append_escaped(line, field.value);
    } else {
      append_quoted(line, field.value);
    }
  }
  return line;
}

std::string json_line(LogLevel level, std::string_view event, LogFields fields) {
  std::string line = "\"level\":\"";
  line += name_of_level(level);
  line += "\",\"event\":";
  append_quoted(line, event);
  for (const LogField& field : fields) {
    line += ',';
    append_quoted(line, field.key);
    line += ':';
    append_quoted(line, field.value);
  }
  return line;
}

StderrLog::StderrLog(LogLevel level, LogFormat format)
    : level_(level),
      format_(format),
      logger_(std::make_unique<spdlog::logger>("skein",
                                               std::make_shared<spdlog::sinks::stderr_sink_mt>())) {
  const bool json = format == LogFormat::kJson;
  logger_->set_formatter(std::make_unique<spdlog::pattern_formatter>(
      json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ",%v})" : "%Y-%m-%dT%H:%M:%S.%eZ %v",
      spdlog::pattern_time_type::utc));
  logger_->set_level(spdlog::level::trace);
  logger_->flush_on(spdlog::level::trace);
}

StderrLog::~StderrLog() = default;

void StderrLog::write(LogLevel level, std::string_view event, LogFields fields) {
  if (level < level_) return;
  const std::string line = format_ == LogFormat::kJson ? json_line(level, event, fields)
                                                       : text_line(level, event, fields);
  logger_->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace skein::real

namespace skein {

std::optional<LogFormat> parse_log_format(std::string_view name) {
  if (name == "text") return LogFormat::kText;
  if (name == "json") return LogFormat::kJson;
  return std::nullopt;
}

std::optional<LogLevel> parse_log_level(std::string_view name) {
  for (std::size_t i = 0; i < real::kLevels.size(); ++i) {
    if (real::kLevels[i] == name) return static_cast<LogLevel>(i);
  }
  return std::nullopt;
}

}  // namespace skein
