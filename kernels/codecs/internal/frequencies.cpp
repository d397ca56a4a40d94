#include "kernels/codecs/internal/frequencies.h"

#include <algorithm>

#include "kernels/codecs/internal/zigzag.h"
#include "kernels/ops/log.h"

namespace skein {
namespace {

// What taking one slot from a code costs, or giving it one saves, in nats times slots: the slope of
// count * log(frequency) between the two frequencies.
double slope(std::uint32_t count, std::uint32_t lower_frequency) {
  return static_cast<double>(count) / (static_cast<double>(lower_frequency) + 0.5);
}

constexpr double kNatsPerBit = 0.69314718055994530942;

}  // namespace

Frequencies scaled(const Counts& counts, std::uint32_t table_bits) {
  std::uint64_t total = 0;
  for (const std::uint32_t count : counts) total += count;
  Frequencies result;
  const std::uint32_t slots = 1U << table_bits;
  std::uint32_t given = 0;
  for (std::size_t code = 0; code < kAlphabet; ++code) {
    if (counts[code] == 0) continue;
    const std::uint64_t share = (std::uint64_t{counts[code]} * slots + total / 2) / total;
    result.of[code] = static_cast<std::uint16_t>(std::max<std::uint64_t>(share, 1));
    given += result.of[code];
  }
  while (given != slots) {
    std::size_t best = kAlphabet;
    double best_slope = 0;
    for (std::size_t code = 0; code < kAlphabet; ++code) {
      const std::uint32_t frequency = result.of[code];
      if (frequency == 0 || (given > slots && frequency == 1)) continue;
      const double here = slope(counts[code], given > slots ? frequency - 1 : frequency);
      const bool better = given > slots ? here < best_slope : here > best_slope;
      if (best == kAlphabet || better) {
        best = code;
        best_slope = here;
      }
    }
    if (given > slots) {
      --result.of[best];
      --given;
    } else {
      ++result.of[best];
      ++given;
    }
  }
  return result;
}

double cost_in_bits(const Counts& counts, const Frequencies& frequencies,
                    std::uint32_t table_bits) {
  double bits = 0;
  for (std::size_t code = 0; code < kAlphabet; ++code) {
    if (counts[code] == 0) continue;
    const double log2 = double_log(frequencies.of[code]) / kNatsPerBit;
    bits += counts[code] * (table_bits - log2);
  }
  return bits;
}

// From the first to the last code that occurs: the width of its frequency in bits, as the
// difference from the width before it, then the frequency without its leading bit.
void write_frequencies(const Frequencies& frequencies, BitWriter& out) {
  std::uint32_t first = 0;
  while (frequencies.of[first] == 0) ++first;
  std::uint32_t last = kAlphabet - 1;
  while (frequencies.of[last] == 0) --last;
  out.put(first, 8);
  out.put(last, 8);
  std::int32_t before = 1;
  for (std::uint32_t code = first; code <= last; ++code) {
    const std::uint32_t frequency = frequencies.of[code];
    const auto width = static_cast<std::int32_t>(std::bit_width(frequency));
    out.put_golomb(zigzag(width - before));
    if (width > 1) out.put(frequency, static_cast<std::uint32_t>(width - 1));
    before = width;
  }
}

bool read_frequencies(BitReader& in, std::uint32_t table_bits, Frequencies& frequencies) {
  frequencies.of.fill(0);
  const std::uint32_t first = in.take(8);
  const std::uint32_t last = in.take(8);
  const auto widest = static_cast<std::int32_t>(table_bits + 1);
  std::int32_t width = 1;
  std::uint32_t sum = 0;
  for (std::uint32_t code = first; code <= last; ++code) {
    width += unzigzag(in.take_golomb());
    if (width < 0 || width > widest) return false;
    std::uint32_t frequency = width > 0 ? 1 : 0;
    if (width > 1) {
      const auto low = static_cast<std::uint32_t>(width - 1);
      frequency = (1U << low) | in.take(low);
    }
    frequencies.of[code] = static_cast<std::uint16_t>(frequency);
    sum += frequency;
  }
  return !in.overran() && sum == 1U << table_bits;
}

}  // namespace skein
