// A checkpoint's elements lie along the stored rows or across them. Along: the rows are one run.
// Across: each row of the file holds one column of many stored rows, so a run is a piece of it, and
// its elements are scattered. A stack of matrices that lie transposed is a run of such matrices.
#include "common/convert/internal/store_rows.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "common/convert/internal/plan.h"

namespace skein::internal {
namespace {

// Elements [from, from + length) of the file go to places to, to + step, ... of the rows wanted.
struct Run {
  std::uint64_t from = 0;
  std::size_t length = 0;
  std::size_t to = 0;
  std::size_t step = 1;
};

template <class Visit>
void for_each_run(const TensorPlan& plan, std::uint32_t first, std::uint32_t count, Visit visit) {
  const CheckpointTensor& tensor = *plan.source;
  const std::uint64_t cols = plan.cols;
  if (plan.transposed == tensor.swapped) {
    visit(Run{.from = first * cols, .length = static_cast<std::size_t>(count * cols)});
    return;
  }
  const bool stack = tensor.swapped && tensor.shape.size() > 2;
  const std::uint32_t height = stack ? tensor.shape[tensor.shape.size() - 2] : plan.rows;
  for (std::uint32_t done = 0; done < count;) {
    const std::uint32_t row = first + done;
    const std::uint32_t inside = row % height;
    const std::uint32_t length = std::min(count - done, height - inside);
    const std::uint64_t matrix = std::uint64_t{row - inside} * cols;
    for (std::uint64_t j = 0; j < cols; ++j) {
      visit(Run{.from = matrix + j * height + inside,
                .length = length,
                .to = static_cast<std::size_t>(done * cols + j),
                .step = static_cast<std::size_t>(cols)});
    }
    done += length;
  }
}

// The given rows in row-major order with the checkpoint's own elements.
template <class Element>
std::vector<Element> gather(const TensorPlan& plan, std::uint32_t first, std::uint32_t count) {
  std::vector<Element> out(std::size_t{count} * plan.cols);
  const std::byte* data = plan.source->data.data();
  for_each_run(plan, first, count, [&](const Run& run) {
    const std::byte* from = data + run.from * sizeof(Element);
    if (run.step == 1) {
      std::memcpy(out.data() + run.to, from, run.length * sizeof(Element));
      return;
    }
    for (std::size_t i = 0; i < run.length; ++i) {
      std::memcpy(&out[run.to + i * run.step], from + i * sizeof(Element), sizeof(Element));
    }
  });
  return out;
}

std::vector<float> gather_floats(const TensorPlan& plan, std::uint32_t first, std::uint32_t count) {
  std::vector<float> out(std::size_t{count} * plan.cols);
  std::vector<float> piece;
  for_each_run(plan, first, count, [&](const Run& run) {
    if (run.step == 1) {
      read_elements(*plan.source, run.from, std::span(out).subspan(run.to, run.length));
      return;
    }
    piece.resize(run.length);
    read_elements(*plan.source, run.from, piece);
    for (std::size_t i = 0; i < run.length; ++i) out[run.to + i * run.step] = piece[i];
  });
  return out;
}

tl::unexpected<Error> not_finite(const TensorPlan& plan) {
  return fail(Errc::kCorrupt, "a weight is NaN or infinite", plan.source->name,
              "the file is damaged or its training diverged; use another checkpoint");
}

// All bits of the exponent set: infinity or NaN.
template <class Element>
bool all_finite(const std::vector<Element>& values, Element exponent) {
  bool finite = true;
  for (const Element value : values) finite = finite && (value & exponent) != exponent;
  return finite;
}

bool all_finite(const std::vector<float>& values) {
  return std::ranges::all_of(values, [](float value) { return std::isfinite(value); });
}

template <class Element>
Result<void> store_bits(const TensorPlan& plan, std::uint32_t first, std::uint32_t count,
                        Element exponent, MutableByteView out) {
  const std::vector<Element> raw = gather<Element>(plan, first, count);
  if (!all_finite(raw, exponent)) return not_finite(plan);
  const ByteView bytes = std::as_bytes(std::span(raw));
  if (plan.layout == Layout::kTiles) {
    tile_elements(sizeof(Element), count, plan.cols, bytes, out);
  } else {
    CHECK(out.size() == bytes.size());
    std::ranges::copy(bytes, out.begin());
  }
  return {};
}

// A weight that becomes infinite by losing bits would be worse than none.
bool overflows(Format format, float value) {
  if (format == Format::kF16) return !std::isfinite(widen_f16(narrow_f16(value)));
  return format == Format::kBf16 && !std::isfinite(widen_bf16(narrow_bf16(value)));
}

Result<void> store_floats(const TensorPlan& plan, std::uint32_t first, std::uint32_t count,
                          MutableByteView out) {
  const std::vector<float> values = gather_floats(plan, first, count);
  if (!all_finite(values)) return not_finite(plan);
  if (std::ranges::any_of(values, [&](float value) { return overflows(plan.format, value); })) {
    return fail(Errc::kUnsupported,
                "a weight is too large for " + std::string(name_of(plan.format)), plan.source->name,
                "choose f32");
  }
  encode(plan.format, plan.layout, count, plan.cols, values, out);
  return {};
}

Result<void> store_codes(const TensorPlan& plan, std::uint32_t first, std::uint32_t count,
                         MutableByteView out) {
  const CheckpointTensor& tensor = *plan.source;
  const std::size_t groups = std::size_t{count} * plan.cols / kGroup;
  const std::uint64_t before = std::uint64_t{first} * plan.cols / kGroup;
  std::vector<std::int8_t> codes;
  std::vector<std::uint16_t> scales;
  codes.reserve(groups * kGroup);
  scales.reserve(groups);
  for (std::size_t i = 0; i < groups; ++i) {
    const CodeGroup group = read_codes(tensor.packing, tensor.data, before + i);
    codes.insert(codes.end(), group.codes.begin(), group.codes.end());
    const auto scale = doubled_scale(group.scale, tensor.doublings);
    if (!scale) return not_finite(plan);
    scales.push_back(*scale);
  }
  place_q8(plan.layout, count, plan.cols, codes, scales, out);
  return {};
}

}  // namespace

std::optional<std::uint16_t> doubled_scale(std::uint16_t scale, std::uint32_t times) {
  const float value = widen_f16(scale) * std::bit_cast<float>((127U + times) << 23);
  const std::uint16_t doubled = narrow_f16(value);
  if (!std::isfinite(widen_f16(doubled)) || widen_f16(doubled) != value) return std::nullopt;
  return doubled;
}

Result<void> store_rows(const TensorPlan& plan, std::uint32_t first, std::uint32_t count,
                        MutableByteView out) {
  if (plan.keeps_codes) return store_codes(plan, first, count, out);
  const CheckpointTensor& tensor = *plan.source;
  const bool same_bits =
      plan.format == tensor.format && tensor.packing == Packing::kNone && tensor.doublings == 0;
  if (!same_bits) return store_floats(plan, first, count, out);
  if (plan.format == Format::kF32) return store_bits(plan, first, count, 0x7F800000U, out);
  const std::uint16_t exponent = plan.format == Format::kF16 ? 0x7C00 : 0x7F80;
  return store_bits(plan, first, count, exponent, out);
}

Result<std::vector<float>> stored_values(const TensorPlan& plan) {
  std::vector<float> values = gather_floats(plan, 0, plan.rows);
  if (!all_finite(values)) return not_finite(plan);
  return values;
}

}  // namespace skein::internal
