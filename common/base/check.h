// CHECK(condition): what we promise ourselves. Always on; stops the process. Never used on bytes
// that came from outside: those are Results. Any thread.
#pragma once

namespace skein {
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}

#define CHECK(condition) \
  (static_cast<bool>(condition) ? (void)0 : ::skein::check_failed(#condition, __FILE__, __LINE__))
