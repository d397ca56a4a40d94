// Which instruction set the kernels use. Chosen once by the program's main and set here before any
// kernel runs; kernels only read it. (The one process-wide setting: a CPU is process-wide too, and
// no choice changes a bit of any result.)
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace skein {

enum class Isa : unsigned char { kScalar, kAvx2, kAvx512, kAmx, kNeon };

std::string_view name_of(Isa isa);  // "scalar", "avx2", "avx512", "amx", "neon"
std::vector<Isa> supported_isas();  // on this CPU with this build; kScalar always, best last
// "" = the best one. An unknown name or one this CPU lacks is Errc::kUsage naming what there is.
Result<Isa> select_isa(std::string_view name);
Isa current_isa();

}  // namespace skein
