// Reading plain elements at any alignment, for the scalar reference. Private to kernels/ops; pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/ops/format.h"

namespace skein {

template <class Element>
Element element_at(const std::byte* base, std::size_t index) {
  Element element;
  std::memcpy(&element, base + index * sizeof element, sizeof element);
  return element;
}

inline float f32_at(const std::byte* base, std::size_t index) {
  return element_at<float>(base, index);
}
inline float bf16_at(const std::byte* base, std::size_t index) {
  return widen_bf16(element_at<std::uint16_t>(base, index));
}
inline float f16_at(const std::byte* base, std::size_t index) {
  return widen_f16(element_at<std::uint16_t>(base, index));
}

}  // namespace skein
