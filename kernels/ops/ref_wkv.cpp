#include <cstddef>

#include "kernels/ops/norm.h"
#include "kernels/ops/reference.h"
#include "kernels/ops/wkv.h"

namespace skein::reference {

void wkv(const WkvHead& head) {
  const std::size_t size = head.size;
  for (std::size_t i = 0; i < size; ++i) {
    const std::span<float> row(head.state + i * size, size);
    const float removed = ordered_dot(row, {head.kk, size});
    for (std::size_t j = 0; j < size; ++j) {
      row[j] = (row[j] * head.w[j] - removed * head.b[j]) + head.v[i] * head.k[j];
    }
    head.y[i] = ordered_dot(row, {head.r, size});
  }
}

}  // namespace skein::reference
