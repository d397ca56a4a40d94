#include "kernels/ops/wkv.h"

#include "common/base/check.h"
#include "kernels/isa/kernel_table.h"
#include "kernels/ops/activations.h"
#include "kernels/ops/norm.h"
#include "kernels/ops/reference.h"

namespace skein {
namespace {

constexpr std::uint32_t kLanes = 16;

// (numerator, denominator) e^exponent + (v, 1) e^key, told with the larger exponent of the two.
struct Average {
  float numerator, denominator, exponent;
  Average with(float key, float v) const {
    const float larger = exponent > key ? exponent : key;
    const float old_share = exp_of(exponent - larger);
    const float new_share = exp_of(key - larger);
    return {old_share * numerator + new_share * v, old_share * denominator + new_share, larger};
  }
};

}  // namespace

void wkv(const WkvHead& head) {
  head.size % kLanes == 0 ? current_kernels().wkv(head) : reference::wkv(head);
}

void prepare_heads(const HeadInputs& in) {
  CHECK(in.size != 0 && in.count % in.size == 0);
  current_kernels().prepare_heads(in);
}

void finish_heads(const HeadOutputs& out) {
  CHECK(out.size != 0 && out.count % out.size == 0);
  current_kernels().finish_heads(out);
}

void decay_wkv(const DecayHead& head) {
  const std::size_t size = head.size;
  const std::span<float> ru(head.y, size);  // scratch until y is known
  for (std::size_t j = 0; j < size; ++j) ru[j] = head.r[j] * head.u[j];
  const float bonus = ordered_dot(ru, {head.k, size});
  for (std::size_t i = 0; i < size; ++i) {
    const std::span<float> row(head.state + i * size, size);
    head.y[i] = ordered_dot(row, {head.r, size}) + bonus * head.v[i];
    for (std::size_t j = 0; j < size; ++j) row[j] = row[j] * head.w[j] + head.v[i] * head.k[j];
  }
}

void channel_wkv(const WkvChannels& channels) {
  const auto& [numerator, denominator, exponent, k, v, w, u, y] = channels;
  CHECK(numerator.size() == k.size() && denominator.size() == k.size());
  CHECK(exponent.size() == k.size() && v.size() == k.size() && w.size() == k.size());
  CHECK(u.size() == k.size() && y.size() == k.size());
  for (std::size_t i = 0; i < k.size(); ++i) {
    Average average = {numerator[i], denominator[i], exponent[i]};
    const Average now = average.with(u[i] + k[i], v[i]);
    y[i] = now.numerator / now.denominator;
    average.exponent += w[i];
    average = average.with(k[i], v[i]);
    numerator[i] = average.numerator;
    denominator[i] = average.denominator;
    exponent[i] = average.exponent;
  }
}

}  // namespace skein
