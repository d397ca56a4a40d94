// exp and log in double precision without libm: IEEE add, multiply, divide and bit moves in one
// order, so the same bits on every machine. For measuring (log-softmax); the layers use
// activations.h. Any thread; no allocation.
#pragma once

#include <span>

namespace skein {

double double_exp(double x);  // within 1e-15 relative; 0 below -708; x <= 709
double double_log(double x);  // within 1e-15 relative; x positive, normal, finite

// log(sum exp(x)), summed in index order, relative to the largest x. Not empty; all finite.
double log_sum_exp(std::span<const float> x);

}  // namespace skein
