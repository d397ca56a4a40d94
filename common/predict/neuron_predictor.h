// NeuronPredictor: which neurons of a layer's channel mix will fire, told before the layer's time
// mix begins, so that their value rows can be on their way when they are needed. A guess about
// time, never about results: what it misses is read later, what it adds is read in vain. Opened
// from an artifact's pages, which it copies from; owns scratch, so one thread at a time.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/artifact/page_source.h"
#include "common/base/result.h"
#include "kernels/ops/matmul.h"

namespace skein {

// What is known of one token of one session before a layer.
struct BeforeLayer {
  LayerIndex layer;
  std::span<const float> residual;  // (width): the residual stream that enters the layer
  std::span<const float> shift;     // (width): RwkvState::channel_mix_shift(layer)
  std::span<const float> recency;   // (neurons): RecentNeurons' of the session and layer
};

// How lately each neuron of a layer fired: fading averages of 0 and 1. A value, kept beside a
// session's state by whoever asks for predictions.
class RecentNeurons {
 public:
  static constexpr float kFading = 0.75F;  // what is left after a token
  explicit RecentNeurons(std::uint32_t neurons) : recency_(neurons, 0.0F) {}
  // h: the neurons' values at a token, (neurons); all but exact zeros fired.
  void fired(std::span<const float> h);
  std::span<const float> recency() const { return recency_; }

 private:
  std::vector<float> recency_;
};

// What scores are made from; a predictor may hold several, whose largest score counts.
enum class ScoreKind : std::uint8_t { kPrevious, kSign, kSketch, kKey, kMlp };
inline constexpr ScoreKind kScoreKinds[] = {ScoreKind::kPrevious, ScoreKind::kSign,
                                            ScoreKind::kSketch, ScoreKind::kKey, ScoreKind::kMlp};
std::string_view name_of(ScoreKind kind);  // "previous", "sign", "sketch", "key", "mlp"

class NeuronPredictor {
 public:
  // nullptr: the artifact has no predictor. `keys`: the key matrix of each layer, which outlive the
  // predictor; needed by kKey only. Errc::kCorrupt names a part that is missing or misshapen.
  static Result<std::unique_ptr<NeuronPredictor>> open(PageSource& pages,
                                                       std::span<const MatrixView> keys);
  ~NeuronPredictor();

  // Log-odds that each neuron fires, (neurons). The same bits on every CPU.
  void score(const BeforeLayer& before, std::span<float> scores);
  // From which score on neurons are to be fetched so that this share of those that will fire is
  // among them, by the calibration text; recall from 0.5 to 0.99, the next step above is taken.
  // Of all neurons, or of the half that fires less, where one that fires is harder to tell.
  enum class Among : std::uint8_t { kAll, kCold };
  float cut(LayerIndex layer, double recall, Among among) const;
  // The neurons at or above the cut, in increasing order. No allocation once `neurons` has room.
  void predict(const BeforeLayer& before, double recall, Among among,
               std::vector<std::uint32_t>& neurons);

  std::uint64_t bytes() const;  // held in memory
  std::vector<ScoreKind> kinds() const;

 private:
  NeuronPredictor();
  struct Layer;
  struct Scratch;
  std::vector<Layer> layers_;
  std::unique_ptr<Scratch> scratch_;
};

// The names of the parts, below "blocks.N", and what they hold; see README.md.
std::string predictor_part(std::uint32_t layer, std::string_view part);
// Recalls for which the part "cuts" holds scores, in its order.
inline constexpr double kCutRecalls[] = {0.5,  0.6,  0.7,  0.75, 0.8,  0.85, 0.88, 0.9,
                                         0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99};
inline constexpr std::size_t kCuts = std::size(kCutRecalls);
// Signs of a key row, 8 to a byte, stored as numbers from 0 to 255: bit i % 8 of byte i / 8 is set
// where channel i is positive.
constexpr std::uint32_t sign_bytes(std::uint32_t width) { return (width + 7) / 8; }

}  // namespace skein
