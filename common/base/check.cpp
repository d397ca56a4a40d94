#include "common/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace skein {
void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "skein: broken promise: %s (%s:%d)\n", condition, file, line);
  std::abort();
}
}  // namespace skein
