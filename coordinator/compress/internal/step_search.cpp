#include "coordinator/compress/internal/step_search.h"

#include <algorithm>
#include <cmath>

namespace skein {
namespace {

constexpr double kNear = 0.01;     // bits below the target that are well spent elsewhere
constexpr double kInside = 0.003;  // of them, aimed at
constexpr double kOctaves = 2.2;   // of a squared step's cost for a bit
constexpr double kFarthest = 6;    // octaves at once
constexpr int kMostEncodings = 8;
constexpr double kMostClipped = 0.01;  // share of groups that a format need not span

}  // namespace

std::map<std::string, Format, std::less<>> choose_run_formats(
    const std::map<std::string, SteppedMatrix, std::less<>>& stepped,
    std::optional<std::uint64_t> most_more_bytes) {
  struct Wish {
    double clipped;
    std::string_view name;
    Format format;
    std::uint64_t bytes;
  };
  std::map<std::string, Format, std::less<>> formats;
  std::vector<Wish> wishes;
  for (const auto& [name, matrix] : stepped) {
    formats[name] = Format::kQ4;
    const std::uint64_t bit = matrix.weights / 8;
    if (matrix.clipped > kMostClipped) wishes.push_back({matrix.clipped, name, Format::kQ5, bit});
    if (matrix.clipped_wider > kMostClipped) {
      wishes.push_back({matrix.clipped_wider, name, Format::kQ6, bit});
    }
  }
  // A matrix's wish for q6 comes after its wish for q5, which clips more.
  std::ranges::sort(wishes, [](const Wish& a, const Wish& b) {
    return std::pair(-a.clipped, a.name) < std::pair(-b.clipped, b.name);
  });
  std::uint64_t left = most_more_bytes.value_or(~0ULL);
  for (const Wish& wish : wishes) {
    if (wish.bytes > left) continue;
    if (wish.format == Format::kQ6 && formats[std::string(wish.name)] == Format::kQ4) continue;
    left -= wish.bytes;
    formats[std::string(wish.name)] = wish.format;
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
                  "ask for more");
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
    at_ += std::clamp(kOctaves * (bits - aim), -kFarthest, kFarthest);
  }
  return true;
}

}  // namespace skein
