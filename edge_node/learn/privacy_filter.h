// PrivacyFilter: the only door by which what was learned can leave the device. It takes a RawUpdate
// and returns a ReleasableUpdate, and only a ReleasableUpdate can be packed for upload: a type, not
// a promise. Values and a pure function; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/base/result.h"

namespace skein {

// Trained minus initial state, all layers one after another: (layers, heads, head_size, head_size).
struct RawUpdate {
  std::vector<float> delta;
};

class ReleasableUpdate {
 public:
  std::span<const float> delta() const { return delta_; }
  double norm() const { return norm_; }  // of what is released
  bool clipped() const { return clipped_; }

 private:
  friend class PrivacyFilter;
  ReleasableUpdate() = default;
  std::vector<float> delta_;
  double norm_ = 0;
  bool clipped_ = false;
};

class PrivacyFilter {
 public:
  // An update longer than max_norm (Euclidean, over all layers) is scaled down to it.
  explicit PrivacyFilter(double max_norm) : max_norm_(max_norm) {}
  // Errc::kRefused when a value is not finite.
  Result<ReleasableUpdate> apply(RawUpdate raw) const;

 private:
  double max_norm_;
};

}  // namespace skein
