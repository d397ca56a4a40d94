#include "kernels/isa/isa.h"

#include <algorithm>
#include <atomic>

#include "common/base/check.h"
#include "kernels/isa/kernel_table.h"
#include "kernels/ops/reference.h"

namespace skein {
namespace {

constexpr KernelTable kScalarKernels = {
    .tiles_f32 = reference::tiles_f32,
    .tiles_bf16 = reference::tiles_bf16,
    .tiles_f16 = reference::tiles_f16,
    .tiles_q8 = reference::tiles_q8,
    .add_row_f32 = reference::add_row_f32,
    .add_row_bf16 = reference::add_row_bf16,
    .add_row_f16 = reference::add_row_f16,
    .add_row_q8 = reference::add_row_q8,
    .wkv = reference::wkv,
};

struct Choice {
  Isa isa;
  const KernelTable* kernels;
};

// Worst first; nullptr: not in this build.
constexpr Choice kChoices[] = {
    {Isa::kScalar, &kScalarKernels},
};

bool cpu_has(Isa isa) { return isa == Isa::kScalar; }

bool usable(const Choice& choice) { return choice.kernels != nullptr && cpu_has(choice.isa); }

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
    if (usable(choice)) isas.push_back(choice.isa);
  }
  return isas;
}

Result<Isa> select_isa(std::string_view name) {
  const Choice* chosen = nullptr;
  std::string known;
  for (const Choice& choice : kChoices) {
    if (!usable(choice)) continue;
    known += (known.empty() ? "" : ", ") + std::string(name_of(choice.isa));
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
  const auto* choice = std::ranges::find_if(
      kChoices, [isa](const Choice& each) { return each.isa == isa && usable(each); });
  CHECK(choice != std::end(kChoices));
  return *choice->kernels;
}

const KernelTable& current_kernels() { return *current().load(std::memory_order_relaxed)->kernels; }

}  // namespace skein
