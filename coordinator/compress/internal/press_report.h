// What a compression cost, for people and for programs. Pure; any thread.
#pragma once

#include <boost/json/object.hpp>

#include "common/base/digest.h"
#include "coordinator/compress/press.h"

namespace skein {

// What is known once the artifact is written.
struct Written {
  Digest digest;
  std::uint64_t file_bytes = 0;
  double seconds = 0;  // since the command began
};

// Everything that is stored of tensors, what is derived from them too: as `skein inspect` counts.
double bits_per_weight(const PressResult& pressed);
// What coding pages saved, as a technique like the others.
TechniqueReport coding_report(const PressResult& pressed, std::uint64_t file_bytes);

// As `--json` and `--report` give it.
boost::json::object describe(const PressResult& pressed, const Written& written);
// Lines for a terminal, each ended; empty where nothing was calibrated or measured.
std::string summary_of(const PressResult& pressed);

}  // namespace skein
