#include "common/base/result.h"

namespace skein {

std::string to_string(const Error& error) {
  std::string line = error.what;
  if (!error.where.empty()) line += " (" + error.where + ")";
  if (!error.remedy.empty()) line += ": " + error.remedy;
  return line;
}

std::string_view name_of(Errc code) {
  switch (code) {
    case Errc::kUsage:
      return "usage";
    case Errc::kCorrupt:
      return "corrupt";
    case Errc::kUnsupported:
      return "unsupported";
    case Errc::kRefused:
      return "refused";
    case Errc::kNotFound:
      return "not_found";
    case Errc::kUnavailable:
      return "unavailable";
    case Errc::kDeadline:
      return "deadline";
    case Errc::kCancelled:
      return "cancelled";
    case Errc::kOutOfRoom:
      return "out_of_room";
    case Errc::kOutOfStep:
      return "out_of_step";
    case Errc::kConflict:
      return "conflict";
    case Errc::kInput:
      return "input";
    case Errc::kFalse:
      return "false";
  }
  return "unknown";
}

int exit_code(Errc code) {
  switch (code) {
    case Errc::kUsage:
      return 2;
    case Errc::kCorrupt:
    case Errc::kUnsupported:
    case Errc::kNotFound:
    case Errc::kInput:
      return 3;
    case Errc::kRefused:
      return 4;
    case Errc::kUnavailable:
    case Errc::kDeadline:
    case Errc::kCancelled:
      return 5;
    case Errc::kOutOfRoom:
      return 6;
    case Errc::kOutOfStep:
    case Errc::kConflict:
    case Errc::kFalse:
      return 1;
  }
  return 1;
}

}  // namespace skein
