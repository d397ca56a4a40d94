// RwkvState: the constant-size recurrent state of one session. Value: copy it to branch, hash it to
// compare, save it to move. Any thread, one at a time.
#pragma once

#include <span>
#include <vector>

#include "common/artifact/model_config.h"
#include "common/base/bytes.h"
#include "common/base/digest.h"
#include "common/base/ids.h"
#include "common/base/result.h"

namespace skein {

inline constexpr float kNoExponent = -1e30F;  // RWKV-4 before the first token: exp of it is 0

class RwkvState {
 public:
  RwkvState() = default;
  // Before the first token, step 0: all zero, but for RWKV-4's exponents (kNoExponent).
  explicit RwkvState(const ModelConfig& config);

  // (width) floats: the previous token's LN1 / LN2 output, for token shift.
  std::span<float> time_mix_shift(LayerIndex layer);
  std::span<float> channel_mix_shift(LayerIndex layer);
  // (heads, head_size, head_size) floats: S, row = value index, column = key index.
  // RWKV-4: (3, width) floats: numerator, denominator and exponent of the average.
  std::span<float> wkv(LayerIndex layer);
  std::span<float> layer(LayerIndex layer);  // all of these
  std::span<const float> time_mix_shift(LayerIndex layer) const;
  std::span<const float> channel_mix_shift(LayerIndex layer) const;
  std::span<const float> wkv(LayerIndex layer) const;

  Step step{0};  // tokens seen
  const ModelConfig& config() const { return config_; }

  // Versioned, checksummed bytes (magic, version, config, artifact digest, step, floats, SHA-256).
  Buffer save(const Digest& artifact) const;
  // Errc::kCorrupt for damage (a NaN or infinity counts), Errc::kUnsupported for another version of
  // the form, Errc::kConflict for another model's state.
  static Result<RwkvState> restore(ByteView bytes, const ModelConfig& config,
                                   const Digest& artifact);
  std::size_t bytes() const { return floats_.size() * sizeof(float); }  // in memory
  friend bool operator==(const RwkvState&, const RwkvState&);           // bit for bit

 private:
  std::size_t wkv_floats() const;
  std::size_t layer_floats() const;
  ModelConfig config_;
  std::vector<float> floats_;
};

}  // namespace skein
