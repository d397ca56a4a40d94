// Plan: how one checkpoint tensor is to lie in the artifact, decided from its role, shape and the
// precision asked for, before any byte is moved. Pure; any thread.
#pragma once

#include <vector>

#include "common/convert/convert.h"
#include "common/convert/internal/parts.h"

namespace skein::internal {

inline constexpr std::uint32_t kMinQuantizedRank = 32;  // smaller LoRAs gain nothing

struct TensorPlan {
  const CheckpointTensor* source = nullptr;
  PlaceInModel place;
  Format format = Format::kF32;
  Layout layout = Layout::kRows;
  bool transposed = false;
  bool keeps_codes = false;  // packed weights that q8 holds exactly: codes and scales are copied
  bool encoded = false;      // its stored bytes are made by the MatrixEncoder
  std::uint32_t rows = 0;    // of the stored matrix
  std::uint32_t cols = 0;
};

// Matrices, but for LoRAs of a small rank.
bool can_be_quantized(Role role, std::span<const std::uint32_t> shape);

// As a manifest lists it, without segments.
TensorEntry entry_of(const TensorPlan& plan);

// The format that a precision other than kKeep asks for.
Format format_of(Precision precision);

// Errc::kUnsupported names a tensor whose rows or tiles are larger than a page.
Result<TensorPlan> plan_tensor(const CheckpointTensor& tensor, Precision precision,
                               MatrixEncoder* encoder = nullptr);
// In order of first use; the same for the same tensors in any order. Derived ones are left out
// (they are made anew) or kept.
enum class Derived : std::uint8_t { kLeftOut, kKept };
Result<std::vector<TensorPlan>> plan_tensors(std::span<const CheckpointTensor> tensors,
                                             Precision precision, MatrixEncoder* encoder = nullptr,
                                             Derived derived = Derived::kLeftOut);

// Rows [first, first + count) of the stored matrix, in their stored form. out.size() ==
// stored_bytes(format, layout, count, cols); for kTiles `first` is a multiple of 16. Packed tensors
// are unpacked here, these rows only. Errc::kCorrupt: a weight is NaN or infinite.
Result<void> store_rows(const TensorPlan& plan, std::uint32_t first, std::uint32_t count,
                        MutableByteView out);
// The whole stored matrix as floats. The same error.
Result<std::vector<float>> stored_values(const TensorPlan& plan);

}  // namespace skein::internal
