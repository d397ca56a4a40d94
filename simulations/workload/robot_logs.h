// Robots' task logs, made up: what three kinds of robots write down, each in its own dialect. For
// the demo, the simulator and the tests; deterministic in the seed. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>

namespace skein {

inline constexpr unsigned kLogDialects =
    3;  // 0: key=value lines, 1: plain sentences, 2: radio calls

// `lines` lines of `dialect` (taken modulo kLogDialects).
std::string robot_log(unsigned dialect, unsigned lines, std::uint64_t seed);
// All dialects in turn: what a coordinator holds out.
std::string mixed_robot_log(unsigned lines, std::uint64_t seed);

}  // namespace skein
