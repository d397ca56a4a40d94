#include "common/convert/internal/plan.h"

#include <algorithm>
#include <limits>

namespace skein::internal {
namespace {

constexpr std::size_t kMaxStoredRank = 4;  // what a manifest can hold

bool is_vector(Role role) {
  return role == Role::kVector || role == Role::kBonus || role == Role::kPerHead;
}
bool is_matrix(Role role) { return !is_vector(role) && role != Role::kOther; }

Format chosen_format(const CheckpointTensor& tensor, Role role, Precision precision) {
  if (precision == Precision::kKeep) return tensor.format;
  const Format format = format_of(precision);
  if (!is_quantized(format)) return format;
  const bool thin = (role == Role::kLoraIn && tensor.shape[1] < kMinQuantizedRank) ||
                    (role == Role::kLoraOut && tensor.shape[0] < kMinQuantizedRank);
  return is_matrix(role) && !thin ? format : tensor.format;
}

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
    case Role::kFfnIn:
    case Role::kTokens:
      break;
  }
  const bool looked_up = plan.source->name == kEmbedding.name;
  plan.layout = looked_up ? Layout::kRows : Layout::kTiles;
  plan.rows = shape[0];
  plan.cols = shape[1];
}

// The given rows in row-major order with the checkpoint's own elements.
template <class Element>
void gather(const TensorPlan& plan, std::uint32_t first, std::uint32_t count, Buffer& out) {
  const std::size_t cols = plan.cols;
  const std::byte* from = plan.source->data.data();
  if (!plan.transposed) {
    std::memcpy(out.data(), from + first * cols * sizeof(Element), out.size());
    return;
  }
  for (std::size_t j = 0; j < cols; ++j) {  // source row j holds column j of every stored row
    const std::byte* source = from + (j * plan.rows + first) * sizeof(Element);
    for (std::size_t i = 0; i < count; ++i) {
      std::memcpy(out.data() + (i * cols + j) * sizeof(Element), source + i * sizeof(Element),
                  sizeof(Element));
    }
  }
}

}  // namespace

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

Result<TensorPlan> plan_tensor(const CheckpointTensor& tensor, Precision precision) {
  TensorPlan plan{.source = &tensor, .place = place_in_model(tensor.name)};
  const std::vector<std::uint32_t>& shape = tensor.shape;
  const auto refuse = [&](std::string what) {
    return fail(Errc::kUnsupported, std::move(what), tensor.name,
                "leave this tensor out of the checkpoint");
  };
  if (shape.empty() || shape.size() > kMaxStoredRank) {
    return refuse("a tensor has more than " + std::to_string(kMaxStoredRank) + " dimensions");
  }
  std::uint64_t elements = 1;
  for (const std::uint32_t dimension : shape) {
    if (dimension == 0 || elements > tensor.data.size() / dimension) {
      return refuse("a tensor's shape and bytes differ");
    }
    elements *= dimension;
  }
  const std::uint64_t element_bytes = tensor.format == Format::kF32 ? 4 : 2;
  if (is_quantized(tensor.format) || elements * element_bytes != tensor.data.size()) {
    return refuse("a tensor's shape and bytes differ");
  }
  const std::size_t rank = plan.place.role == Role::kLoraStack ? 3 : 2;
  if (is_matrix(plan.place.role) && shape.size() != rank) {
    return refuse("a tensor that should be a matrix is not");
  }
  plan.format = chosen_format(tensor, plan.place.role, precision);
  const bool one_row = is_vector(plan.place.role);
  const std::uint64_t rows = elements / shape.back();
  if ((one_row ? elements : rows) > std::numeric_limits<std::uint32_t>::max()) {
    return refuse("a tensor has too many rows");
  }
  lay_out(plan, shape, elements);
  const std::uint32_t unit = plan.layout == Layout::kTiles ? kTileRows : 1;
  if (stored_bytes(plan.format, plan.layout, unit, plan.cols) > kMaxPageBytes) {
    return refuse("a tensor's rows of " + std::to_string(plan.cols) + " elements exceed a page");
  }
  return plan;
}

Result<std::vector<TensorPlan>> plan_tensors(std::span<const CheckpointTensor> tensors,
                                             Precision precision) {
  std::vector<TensorPlan> plans;
  plans.reserve(tensors.size());
  for (const CheckpointTensor& tensor : tensors) {
    TRY(const TensorPlan plan, plan_tensor(tensor, precision));
    plans.push_back(plan);
  }
  std::ranges::sort(plans, [](const TensorPlan& a, const TensorPlan& b) {
    return std::tie(a.place.group, a.place.rank, a.source->name) <
           std::tie(b.place.group, b.place.rank, b.source->name);
  });
  return plans;
}

void store_rows(const TensorPlan& plan, std::uint32_t first, std::uint32_t count,
                MutableByteView out) {
  const std::uint32_t element_bytes = plan.source->format == Format::kF32 ? 4 : 2;
  const std::size_t elements = std::size_t{count} * plan.cols;
  Buffer raw(elements * element_bytes);
  if (element_bytes == 4) {
    gather<std::uint32_t>(plan, first, count, raw);
  } else {
    gather<std::uint16_t>(plan, first, count, raw);
  }
  if (plan.format != plan.source->format) {
    std::vector<float> values(elements);
    decode(plan.source->format, Layout::kRows, count, plan.cols, raw, values);
    encode(plan.format, plan.layout, count, plan.cols, values, out);
  } else if (plan.layout == Layout::kTiles) {
    tile_elements(element_bytes, count, plan.cols, raw, out);
  } else {
    CHECK(out.size() == raw.size());
    std::memcpy(out.data(), raw.data(), raw.size());
  }
}

}  // namespace skein::internal
