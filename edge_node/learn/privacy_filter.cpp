#include "edge_node/learn/privacy_filter.h"

#include <cmath>

namespace skein {

Result<ReleasableUpdate> PrivacyFilter::apply(RawUpdate raw) const {
  double square = 0;
  for (const float value : raw.delta) {
    if (!std::isfinite(value)) {
      return fail(Errc::kRefused, "the update holds a value that is not finite", "privacy filter",
                  "a smaller learning rate may help");
    }
    square += static_cast<double>(value) * value;
  }
  ReleasableUpdate released;
  released.norm_ = std::sqrt(square);
  if (released.norm_ > max_norm_) {
    const double scale = max_norm_ / released.norm_;
    for (float& value : raw.delta) value = static_cast<float>(value * scale);
    released.norm_ = max_norm_;
    released.clipped_ = true;
  }
  released.delta_ = std::move(raw.delta);
  return released;
}

}  // namespace skein
