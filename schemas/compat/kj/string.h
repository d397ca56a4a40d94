// Found before the system's <kj/string.h>, which it includes. Cap'n Proto 0.9.2 leaves out two
// comparisons when the compiler knows <=>, and clang 19 then cannot compile <capnp/blob.h>: they
// are put back here.
#pragma once

#include_next <kj/string.h>

#if defined(__cpp_impl_three_way_comparison)
namespace kj {
inline bool operator==(const char* a, const StringPtr& b) { return b == a; }
inline bool operator!=(const char* a, const StringPtr& b) { return !(b == a); }
}  // namespace kj
#endif
