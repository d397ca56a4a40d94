#include "coordinator/compress/internal/step_search.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace skein {
namespace {

constexpr double kNear = 0.01;     // bits below the target that are well spent elsewhere
constexpr double kInside = 0.003;  // of them, aimed at
constexpr double kOctaves = 2.2;   // of a squared step's cost for a bit
constexpr double kFarthest = 6;    // octaves at once
constexpr int kMostEncodings = 8;
constexpr double kLeastWorth = 0.01;  // of a bit in memory, in coded bits

}  // namespace

std::map<std::string, Format, std::less<>> choose_run_formats(
    const std::map<std::string, SteppedMatrix, std::less<>>& stepped, double loss_step,
    std::optional<std::uint64_t> most_more_bytes, std::string_view free) {
  struct Wish {
    double worth;  // nats for each bit
    std::string_view name;
    Format format;
    std::uint64_t bits;  // more than without it
    Format before;
  };
  const double bit = kTradedPrice * loss_step;  // nats
  std::map<std::string, Format, std::less<>> formats;
  std::vector<Wish> wishes;
  for (const auto& [name, matrix] : stepped) {
    formats[name] = Format::kQ4;
    const auto cost = [&](Format format) {
      const SteppedMatrix::Tried& tried = matrix.formats.at(format);
      return matrix.alpha * tried.squared_error + bit * 8 * static_cast<double>(tried.coded_bytes);
    };
    const double one = static_cast<double>(matrix.weights);
    const double first = (cost(Format::kQ4) - cost(Format::kQ5)) / one;
    const double second = (cost(Format::kQ5) - cost(Format::kQ6)) / one;
    if (second > first) {  // q5 is worth less than both steps at once
      wishes.push_back({(first + second) / 2, name, Format::kQ6, 2 * matrix.weights, Format::kQ4});
    } else {
      wishes.push_back({first, name, Format::kQ5, matrix.weights, Format::kQ4});
      wishes.push_back({second, name, Format::kQ6, matrix.weights, Format::kQ5});
    }
  }
  std::erase_if(wishes, [&](const Wish& wish) { return wish.worth <= kLeastWorth * bit; });
  std::ranges::sort(wishes, [](const Wish& a, const Wish& b) {
    return std::tuple(-a.worth, a.name, a.format) < std::tuple(-b.worth, b.name, b.format);
  });
  std::uint64_t left = most_more_bytes ? *most_more_bytes * 8 : ~0ULL;
  for (const Wish& wish : wishes) {
    Format& format = formats.find(wish.name)->second;
    const std::uint64_t more = wish.name == free ? 0 : wish.bits;
    if (format != wish.before || more > left) continue;
    left -= more;
    format = wish.format;
  }
  return formats;
}

Result<bool> StepSearch::take(double bits) {
  ++encodings_;
  const bool fits = bits <= target_;
  if (fits && (last_ || bits >= target_ - kNear)) return false;
  auto& side = fits ? within_ : above_;
  side = {at_, bits};
  if (encodings_ >= kMostEncodings) {
    if (!within_ || last_) {
      return fail(Errc::kOutOfRoom, "so few bits are not reached", "--set entropy.bits",
                  "ask for more than " + std::to_string(above_ ? above_->bits : bits).substr(0, 5));
    }
    if (fits) return false;
    last_ = true;
    at_ = within_->at;
    return true;
  }
  const double aim = target_ - kInside;
  if (above_ && within_) {
    const double share = (above_->bits - aim) / std::max(above_->bits - within_->bits, 1e-9);
    at_ = above_->at + (within_->at - above_->at) * std::clamp(share, 0.05, 0.95);
  } else {
    // Where bits hardly follow steps, ever farther.
    const double stride = kOctaves * (bits - aim);
    const double least = std::min(2 * std::fabs(stride_), kFarthest);
    stride_ = std::copysign(std::clamp(std::fabs(stride), least, kFarthest), stride);
    at_ += stride_;
  }
  return true;
}

}  // namespace skein
