#include "common/convert/internal/plan.h"

#include <algorithm>
#include <limits>

#include "common/convert/internal/store_rows.h"

namespace skein::internal {
namespace {

constexpr std::size_t kMaxStoredRank = 4;  // what a manifest can hold

bool is_vector(Role role) {
  return role == Role::kVector || role == Role::kBonus || role == Role::kPerHead;
}
bool is_matrix(Role role) { return !is_vector(role) && role != Role::kOther; }

// Stored shape, layout and direction by role.
void lay_out(TensorPlan& plan, const std::vector<std::uint32_t>& shape, std::uint64_t elements) {
  const auto all = static_cast<std::uint32_t>(elements);
  switch (plan.place.role) {
    case Role::kVector:
    case Role::kBonus:
    case Role::kPerHead:
      plan.rows = 1;
      plan.cols = all;
      return;
    case Role::kLoraStack:
    case Role::kOther:
      plan.cols = shape.back();
      plan.rows = static_cast<std::uint32_t>(elements / shape.back());
      return;
    case Role::kLoraIn:
    case Role::kLoraOut:
    case Role::kFfnOut:
      plan.transposed = true;
      plan.layout = plan.place.role == Role::kFfnOut ? Layout::kRows : Layout::kTiles;
      plan.rows = shape[1];
      plan.cols = shape[0];
      return;
    case Role::kSquare:
    case Role::kFactorIn:
    case Role::kFactorOut:
    case Role::kFfnIn:
    case Role::kTokens:
    case Role::kShortcut:
      break;
  }
  const bool looked_up = plan.source->name == kEmbedding.name;
  plan.layout = looked_up ? Layout::kRows : Layout::kTiles;
  plan.rows = shape[0];
  plan.cols = shape[1];
}

// Whether the file's blocks are the stored rows' groups, and every code and scale one of q8's
// (whose codes begin at -127). Of the two kinds that are multiplied with int8 activations anyway.
bool q8_holds_exactly(const TensorPlan& plan) {
  const CheckpointTensor& tensor = *plan.source;
  const bool kept = tensor.packing == Packing::kQ8_0 || tensor.packing == Packing::kQ4_0;
  if (!is_matrix(plan.place.role) || !kept) return false;
  if (plan.transposed != tensor.swapped || plan.cols % kGroup != 0) return false;
  const std::uint64_t groups = std::uint64_t{plan.rows} * plan.cols / kGroup;
  const bool can_fail = tensor.packing == Packing::kQ8_0 || tensor.doublings != 0;
  for (std::uint64_t i = 0; can_fail && i < groups; ++i) {
    const CodeGroup group = read_codes(tensor.packing, tensor.data, i);
    if (std::ranges::find(group.codes, std::int8_t{-128}) != group.codes.end()) return false;
    if (tensor.doublings != 0 && !doubled_scale(group.scale, tensor.doublings)) return false;
  }
  return true;
}

void choose_format(TensorPlan& plan, Precision precision, MatrixEncoder* encoder) {
  const CheckpointTensor& tensor = *plan.source;
  const Role role = plan.place.role;
  plan.format = tensor.format;
  if (encoder != nullptr) {
    if (!can_be_quantized(role, tensor.shape)) return;
    plan.format = encoder->format_of(tensor.name);
    plan.encoded = is_quantized(plan.format);
    return;
  }
  if (precision == Precision::kKeep) {
    plan.keeps_codes = q8_holds_exactly(plan);
    if (plan.keeps_codes) plan.format = Format::kQ8;
    return;
  }
  const Format format = format_of(precision);
  if (!is_quantized(format) || can_be_quantized(role, tensor.shape)) plan.format = format;
}

}  // namespace

bool can_be_quantized(Role role, std::span<const std::uint32_t> shape) {
  if (!is_matrix(role) || shape.size() < 2) return false;
  const bool thin = (role == Role::kLoraIn && shape[1] < kMinQuantizedRank) ||
                    (role == Role::kLoraOut && shape[0] < kMinQuantizedRank) ||
                    (role == Role::kFactorOut && shape[1] < kMinQuantizedRank);
  return !thin;
}

TensorEntry entry_of(const TensorPlan& plan) {
  return {.name = plan.source->name,
          .shape = plan.source->shape,
          .format = plan.format,
          .layout = plan.layout,
          .transposed = plan.transposed,
          .rows = plan.rows,
          .cols = plan.cols,
          .segments = {}};
}

Format format_of(Precision precision) {
  switch (precision) {
    case Precision::kKeep:
      break;
    case Precision::kF32:
      return Format::kF32;
    case Precision::kBf16:
      return Format::kBf16;
    case Precision::kF16:
      return Format::kF16;
    case Precision::kQ8:
      return Format::kQ8;
    case Precision::kQ6:
      return Format::kQ6;
    case Precision::kQ5:
      return Format::kQ5;
    case Precision::kQ4:
      return Format::kQ4;
  }
  CHECK(precision != Precision::kKeep);
  return Format::kF32;
}

Result<TensorPlan> plan_tensor(const CheckpointTensor& tensor, Precision precision,
                               MatrixEncoder* encoder) {
  TensorPlan plan{.source = &tensor, .place = place_in_model(tensor.name)};
  const std::vector<std::uint32_t>& shape = tensor.shape;
  const auto refuse = [&](std::string what) {
    return fail(Errc::kUnsupported, std::move(what), tensor.name,
                "leave this tensor out of the checkpoint");
  };
  if (shape.empty() || shape.size() > kMaxStoredRank) {
    return refuse("a tensor has more than " + std::to_string(kMaxStoredRank) + " dimensions");
  }
  if (!fits_its_shape(tensor)) return refuse("a tensor's shape and bytes differ");
  std::uint64_t elements = 1;
  for (const std::uint32_t dimension : shape) elements *= dimension;
  const std::size_t rank = plan.place.role == Role::kLoraStack ? 3 : 2;
  if (is_matrix(plan.place.role) && shape.size() != rank) {
    return refuse("a tensor that should be a matrix is not");
  }
  const bool one_row = is_vector(plan.place.role);
  const std::uint64_t rows = elements / shape.back();
  if (one_row && tensor.swapped) return refuse("a vector lies transposed");
  if ((one_row ? elements : rows) > std::numeric_limits<std::uint32_t>::max()) {
    return refuse("a tensor has too many rows");
  }
  lay_out(plan, shape, elements);
  choose_format(plan, precision, encoder);
  const std::uint32_t unit = plan.layout == Layout::kTiles ? kTileRows : 1;
  if (stored_bytes(plan.format, plan.layout, unit, plan.cols) > kMaxPageBytes) {
    return refuse("a tensor's rows of " + std::to_string(plan.cols) + " elements exceed a page");
  }
  return plan;
}

Result<std::vector<TensorPlan>> plan_tensors(std::span<const CheckpointTensor> tensors,
                                             Precision precision, MatrixEncoder* encoder,
                                             Derived derived) {
  std::vector<TensorPlan> plans;
  plans.reserve(tensors.size());
  for (const CheckpointTensor& tensor : tensors) {
    if (derived == Derived::kLeftOut && is_derived(tensor.name)) continue;
    TRY(const TensorPlan plan, plan_tensor(tensor, precision, encoder));
    plans.push_back(plan);
  }
  std::ranges::sort(plans, [](const TensorPlan& a, const TensorPlan& b) {
    return std::tie(a.place.group, a.place.rank, a.source->name) <
           std::tie(b.place.group, b.place.rank, b.source->name);
  });
  return plans;
}

}  // namespace skein::internal
