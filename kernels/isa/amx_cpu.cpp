#include "kernels/isa/internal/amx_cpu.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace skein {
namespace {

AmxSupport amx_support() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  constexpr unsigned kOsSavesState = 1U << 27;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & kOsSavesState) == 0) return {};
  AmxSupport support;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) != 0) support.features = d;
  // The intrinsic would want the whole file compiled for CPUs that have the instruction.
  asm("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
  support.saved_state = std::uint64_t{d} << 32 | a;
  return support;
}

bool request_tiles() {
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM of asm/prctl.h since Linux 5.16
  constexpr int kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

bool amx_permitted() {
  static const bool permitted = has_amx_int8(amx_support()) && request_tiles();
  return permitted;
}

}  // namespace skein
