// What a compression cost, for people and for programs. Pure; any thread.
#pragma once

#include <boost/json/object.hpp>

#include "common/base/digest.h"
#include "coordinator/compress/press.h"

namespace skein {

// As `--json` and `--report` give it.
boost::json::object describe(const PressResult& pressed, const Digest& digest, double seconds);
// Lines for a terminal, each ended; empty where nothing was calibrated or measured.
std::string summary_of(const PressResult& pressed);

}  // namespace skein
