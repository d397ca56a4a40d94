// What `skein compress --set technique.key=value` may say. Private to the room; pure, any thread.
#pragma once

#include <span>
#include <string>

#include "common/convert/convert.h"

namespace skein {

// Every known setting at its default.
struct PressSettings {
  Precision format = Precision::kQ8;  // quantize.format: q8, q6, q5 or q4
};

// Errc::kUsage names a setting that is malformed, unknown, given twice or of a wrong value.
Result<PressSettings> parse_settings(std::span<const std::string> given);

}  // namespace skein
