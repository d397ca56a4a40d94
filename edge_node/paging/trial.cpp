#include "edge_node/paging/internal/trial.h"

#include <algorithm>

namespace skein::paging {

// The one that is kept, unless another is faster by more than chance.
std::size_t Trial::fastest() const {
  std::size_t best = kept_;
  for (std::size_t i = 0; i < ways_.size(); ++i) {
    const double least = best == kept_ ? ways_[kept_].seconds * kBetter : ways_[best].seconds;
    if (ways_[i].seconds < least) best = i;
  }
  return best;
}

void Trial::go_on_with(std::size_t way) {
  way_ = way;
  since_ = 0;
}

void Trial::took(double seconds, std::uint64_t kind) {
  if (seconds <= 0 || ways_.size() < 2) return;
  if (kind != kind_) {
    const bool is_new = ways_[0].times == 0;
    if (!is_new && ++others_ < kOthers) return;
    ways_.assign(ways_.size(), Way{});
    kept_ = 0;
    is_first_ = true;
    kind_ = kind;
    if (!is_new) return go_on_with(0);  // this time was another way's
  }
  others_ = 0;
  Way& way = ways_[way_];
  const double fading = way.times == 0 ? 0 : kFading;
  way.seconds = way.seconds * fading + seconds * (1 - fading);
  ++way.times;
  ++since_;
  const auto fewest = std::ranges::min_element(ways_, {}, &Way::times);
  if (fewest->times < kFirst) {  // in turn, so that none has a better moment
    go_on_with(static_cast<std::size_t>(fewest - ways_.begin()));
  } else if (way_ != kept_ && since_ < kLook && !is_first_) {
    return;
  } else {
    is_first_ = false;
    kept_ = fastest();
    if (way_ != kept_) {
      go_on_with(kept_);
    } else if (since_ >= kAnother) {
      looked_at_ = (looked_at_ + 1) % ways_.size();
      if (looked_at_ == kept_) looked_at_ = (looked_at_ + 1) % ways_.size();
      go_on_with(looked_at_);
    }
  }
}

}  // namespace skein::paging
