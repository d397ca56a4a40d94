#include "kernels/ops/log.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "common/base/check.h"

namespace skein {
namespace {

// exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln 2 / 2; the quotient of polynomials is Cephes'
// exp (Moshier). Branch-free, so that a loop over it becomes vector code.
inline double exp_value(double x) {
  constexpr double kRound = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer
  const double clamped = x < -708.0 ? -708.0 : x;
  const double rounded = clamped * 1.4426950408889634073599 + kRound;
  const double n = rounded - kRound;
  const double r = (clamped - n * 6.93145751953125e-1) - n * 1.42860682030941723212e-6;
  const double z = r * r;
  double p = 1.26177193074810590878e-4;
  p = p * z + 3.02994407707441961300e-2;
  p = p * z + 9.99999999999999999910e-1;
  p = p * r;
  double q = 3.00198505138664455042e-6;
  q = q * z + 2.52448340349684104192e-3;
  q = q * z + 2.27265548208155028766e-1;
  q = q * z + 2.00000000000000000005e0;
  const double fraction = 1.0 + 2.0 * (p / (q - p));
  const std::uint64_t exponent = std::bit_cast<std::uint64_t>(rounded) + 1023U;
  const double scaled = fraction * std::bit_cast<double>(exponent << 52);
  return x < -708.0 ? 0.0 : scaled;
}

}  // namespace

double double_exp(double x) { return exp_value(x); }

// x = 2^k m, sqrt(1/2) <= m < sqrt(2); log(m) by the series in s = (m-1)/(m+1) that fdlibm uses.
double double_log(double x) {
  constexpr std::uint64_t kSqrtHalf = 0x3FE6A09E667F3BCD;
  const std::uint64_t shifted = std::bit_cast<std::uint64_t>(x) + 0x3FF0000000000000 - kSqrtHalf;
  const auto k = static_cast<double>(static_cast<std::int64_t>(shifted >> 52) - 1023);
  const double m = std::bit_cast<double>((shifted & 0x000FFFFFFFFFFFFF) + kSqrtHalf);
  const double f = m - 1.0;
  const double s = f / (2.0 + f);
  const double z = s * s;
  double series = 1.479819860511658591e-01;
  series = series * z + 1.531383769920937332e-01;
  series = series * z + 1.818357216161805012e-01;
  series = series * z + 2.222219843214978396e-01;
  series = series * z + 2.857142874366239149e-01;
  series = series * z + 3.999999999940941908e-01;
  series = series * z + 6.666666666666735130e-01;
  series = series * z;
  const double half_square = 0.5 * f * f;
  const double low = s * (half_square + series) + k * 1.90821492927058770002e-10;
  return k * 6.93147180369123816490e-01 - ((half_square - low) - f);
}

double log_sum_exp(std::span<const float> x) {
  CHECK(!x.empty());
  const auto highest = static_cast<double>(*std::ranges::max_element(x));
  std::array<double, 256> terms{};
  double sum = 0;
  for (std::size_t first = 0; first < x.size(); first += terms.size()) {
    const std::size_t count = std::min(terms.size(), x.size() - first);
    for (std::size_t i = 0; i < count; ++i) {
      terms[i] = exp_value(static_cast<double>(x[first + i]) - highest);
    }
    for (std::size_t i = 0; i < count; ++i) sum += terms[i];
  }
  return highest + double_log(sum);
}

}  // namespace skein
