#include <cmath>

#include "common/base/check.h"
#include "common/env/env.h"

namespace skein {

std::uint64_t Random::below(std::uint64_t bound) {
  CHECK(bound > 0);
  // Rejection keeps it uniform: values past the last whole multiple of bound are drawn again.
  const std::uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
  std::uint64_t value = next();
  while (value >= limit) value = next();
  return value % bound;
}

double Random::unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

Duration Random::jitter(Duration base, double share) {
  const double factor = 1.0 + share * (2.0 * unit() - 1.0);
  return Duration(static_cast<Duration::rep>(static_cast<double>(base.count()) * factor));
}

}  // namespace skein
