// In rwkv.cpp's files the per-token decay is ready for use: -exp(d) in RWKV-4, exp(-exp(d)) in 5.1
// and 5.2, where 5.1's time_first is exp(f) too; RWKV-6's LoRA matrices are transposed. Vectors
// that belong to heads have a trailing dimension of 1.
#include "common/checkpoint/internal/rwkv_cpp_versions.h"

#include <algorithm>
#include <cmath>

#include "common/checkpoint/internal/official.h"
#include "kernels/ops/log.h"

namespace skein {
namespace {

// Of positive numbers, with a floor where a float's rounding has left nothing to take a log of.
double log_of(double x) { return double_log(std::max(x, 1e-38)); }

double from_rwkv4_decay(double x) { return log_of(-x); }
double from_rwkv5_decay(double x) { return log_of(-log_of(x)); }

// Each element through `f`, as f32. A NaN or infinity stays, for the importer to name.
Result<void> map_values(const Source& source, CheckpointTensor& tensor, double (*f)(double)) {
  if (tensor.format != Format::kF32 || tensor.packing != Packing::kNone) {
    return source.corrupt("tensor " + quoted(tensor.name) + " is not FP32", "data type");
  }
  auto relaid = std::make_shared<Buffer>(tensor.data.size());
  for (std::size_t at = 0; at < tensor.data.size(); at += sizeof(float)) {
    const auto value = load_le<float>(tensor.data, at);
    const auto mapped = std::isfinite(value) ? static_cast<float>(f(double{value})) : value;
    std::memcpy(relaid->data() + at, &mapped, sizeof mapped);
  }
  tensor.relaid = relaid;
  tensor.data = *relaid;
  return {};
}

// (H, N, 1) -> (H, N), (H, 1, 1) -> (H)
void drop_trailing_ones(CheckpointTensor& tensor) {
  while (tensor.shape.size() > 1 && tensor.shape.back() == 1) tensor.shape.pop_back();
}

Result<void> restore_rwkv4(const Source& source, CheckpointTensor& tensor) {
  if (tensor.name.ends_with(".att.time_decay")) return map_values(source, tensor, from_rwkv4_decay);
  return {};
}

Result<void> restore_rwkv5(const Source& source, CheckpointTensor& tensor) {
  const auto ends = [&](std::string_view end) { return tensor.name.ends_with(end); };
  if (!ends(".att.time_decay") && !ends(".att.time_first") && !ends(".att.time_faaaa")) return {};
  drop_trailing_ones(tensor);
  if (ends(".att.time_decay")) return map_values(source, tensor, from_rwkv5_decay);
  if (ends(".att.time_first")) return map_values(source, tensor, log_of);
  return {};
}

Result<void> restore_rwkv6(const Source&, CheckpointTensor& tensor) {
  const auto ends = [&](std::string_view end) { return tensor.name.ends_with(end); };
  if (ends(".att.time_faaaa")) drop_trailing_ones(tensor);
  const bool matrix =
      ends(".att.time_maa_w1") || ends(".att.time_decay_w1") || ends(".att.time_decay_w2");
  const bool stack = ends(".att.time_maa_w2");
  const std::size_t rank = tensor.shape.size();
  if ((matrix && rank == 2) || (stack && rank == 3)) mark_swapped(tensor);
  return {};
}

}  // namespace

Result<void> restore_older_versions(const Source& source, std::vector<CheckpointTensor>& tensors) {
  const auto has = [&](std::string_view name) {
    return std::ranges::find(tensors, name, &CheckpointTensor::name) != tensors.end();
  };
  auto restore = restore_rwkv4;
  if (has("blocks.0.att.ln_x.weight")) restore = restore_rwkv5;
  if (has("blocks.0.att.time_maa_x")) restore = restore_rwkv6;
  for (CheckpointTensor& tensor : tensors) {
    TRY_VOID(restore(source, tensor));
  }
  return {};
}

}  // namespace skein
