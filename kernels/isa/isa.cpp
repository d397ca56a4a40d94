#include "kernels/isa/isa.h"

#include <atomic>

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "common/base/check.h"
#include "kernels/isa/internal/amx_cpu.h"
#include "kernels/isa/internal/elementwise.h"
#include "kernels/isa/internal/tables.h"
#include "kernels/isa/kernel_table.h"
#include "kernels/ops/reference.h"

namespace skein {
namespace {

constexpr KernelTable kScalarKernels = {
    .tiles_f32 = reference::tiles_f32,
    .tiles_bf16 = reference::tiles_bf16,
    .tiles_f16 = reference::tiles_f16,
    .tiles_q8 = reference::tiles_q8,
    .tiles_q6 = reference::tiles_q6,
    .tiles_q5 = reference::tiles_q5,
    .tiles_q4 = reference::tiles_q4,
    .neurons_f32 = reference::neurons_f32,
    .neurons_bf16 = reference::neurons_bf16,
    .neurons_f16 = reference::neurons_f16,
    .neurons_q8 = reference::neurons_q8,
    .neurons_q6 = reference::neurons_q6,
    .neurons_q5 = reference::neurons_q5,
    .neurons_q4 = reference::neurons_q4,
    .quantize = reference::quantize,
    .wkv = reference::wkv,
    .prepare_heads = prepare_heads,
    .finish_heads = finish_heads,
    .tanh_all = tanh_all,
    .sigmoid_all = sigmoid_all,
    .silu_all = silu_all,
    .relu_squared_all = relu_squared_all,
    .decay_all = decay_all,
    .exp_decay_all = exp_decay_all,
    .shift_mix = shift_mix,
    .normalize = normalize,
};

struct Choice {
  Isa isa;
  const KernelTable* kernels;
  bool (*usable)();
};

#if defined(__x86_64__)
bool cpu_has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c"); }
bool cpu_has_avx512() {
  return cpu_has_avx2() && __builtin_cpu_supports("avx512f") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}
bool cpu_has_amx() { return cpu_has_avx512() && amx_permitted(); }
#elif defined(__aarch64__)
bool cpu_has_dot() { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }
#endif
bool always() { return true; }

// Worst first. An instruction set may stand here twice: the later one that the CPU has counts.
constexpr Choice kChoices[] = {
    {Isa::kScalar, &kScalarKernels, always},
#if defined(__x86_64__)
    {Isa::kAvx2, &kAvx2Kernels, cpu_has_avx2},
    {Isa::kAvx512, &kAvx512Kernels, cpu_has_avx512},
    {Isa::kAmx, &kAmxKernels, cpu_has_amx},
#elif defined(__aarch64__)
    {Isa::kNeon, &kNeonKernels, always},
    {Isa::kNeon, &kNeonDotKernels, cpu_has_dot},
#endif
};

std::atomic<const Choice*>& current() {
  static std::atomic<const Choice*> choice{&kChoices[0]};
  return choice;
}

}  // namespace

std::string_view name_of(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAmx:
      return "amx";
    case Isa::kNeon:
      return "neon";
  }
  return "unknown";
}

std::vector<Isa> supported_isas() {
  std::vector<Isa> isas;
  for (const Choice& choice : kChoices) {
    const bool again = !isas.empty() && isas.back() == choice.isa;
    if (choice.usable() && !again) isas.push_back(choice.isa);
  }
  return isas;
}

Result<Isa> select_isa(std::string_view name) {
  const Choice* chosen = nullptr;
  std::string known;
  for (const Choice& choice : kChoices) {
    if (!choice.usable()) continue;
    if (!known.ends_with(name_of(choice.isa))) {
      known += (known.empty() ? "" : ", ") + std::string(name_of(choice.isa));
    }
    if (name.empty() || name == name_of(choice.isa)) chosen = &choice;
  }
  if (chosen == nullptr) {
    return fail(Errc::kUsage, "no instruction set '" + std::string(name.substr(0, 32)) + "'",
                "SKEIN_ISA", "this CPU and build have " + known);
  }
  current().store(chosen, std::memory_order_relaxed);
  return chosen->isa;
}

Isa current_isa() { return current().load(std::memory_order_relaxed)->isa; }

const KernelTable& kernel_table(Isa isa) {
  const KernelTable* best = nullptr;
  for (const Choice& choice : kChoices) {
    if (choice.isa == isa && choice.usable()) best = choice.kernels;
  }
  CHECK(best != nullptr);
  return *best;
}

const KernelTable& current_kernels() { return *current().load(std::memory_order_relaxed)->kernels; }

}  // namespace skein
