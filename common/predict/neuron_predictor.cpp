#include "common/predict/neuron_predictor.h"

#include <algorithm>
#include <array>

#include "common/base/check.h"
#include "common/predict/internal/parts.h"
#include "kernels/ops/norm.h"

namespace skein {

using predict::Input;
using predict::multiply;
using predict::PartReader;
using predict::ResidentMatrix;

namespace {

constexpr float kNormEpsilon = 1e-5F;
constexpr std::uint32_t kMostRank = 4096;  // of any part

// Of a raw score's odds: score = scale * raw + bias, a neuron each.
struct Odds {
  std::vector<float> scale, bias;  // (neurons)
  bool is_absent() const { return scale.empty(); }
  std::uint64_t bytes() const { return (scale.size() + bias.size()) * sizeof(float); }
  void raise(std::span<const float> raw, std::span<float> scores) const {
    for (std::size_t i = 0; i < scores.size(); ++i) {
      const float score = scale[i] * raw[i] + bias[i];
      scores[i] = score > scores[i] ? score : scores[i];
    }
  }
};

// What the key matrix will multiply, guessed: input * normed + shift * shift + up down normed +
// bias.
struct Guess {
  std::vector<float> input, shift, bias;  // (width)
  ResidentMatrix down, up;                // (rank, width), (width, rank)
  std::uint64_t bytes() const {
    return 3 * input.size() * sizeof(float) + down.bytes() + up.bytes();
  }
};

struct SignKey {
  std::vector<std::uint8_t> bytes;  // (neurons, sign_bytes(width))
};

}  // namespace

struct NeuronPredictor::Layer {
  std::uint32_t width = 0;
  std::uint32_t neurons = 0;
  Odds previous, sign, sketch, key, mlp;
  Guess guess;
  SignKey signs;
  ResidentMatrix sketch_down, sketch_up;  // (rank, width), (neurons, rank)
  ResidentMatrix mlp_down, mlp_up;        // (hidden, 2 width), (neurons, hidden)
  MatrixView key_rows;
  std::array<float, 2 * kCuts> cuts{};

  bool guesses() const { return !sign.is_absent() || !sketch.is_absent() || !key.is_absent(); }
  Result<void> read(PartReader& parts);
};

struct NeuronPredictor::Scratch {
  Input normed, guess, low, both, hidden;
  std::vector<float> ones, zeros;  // (width)
  std::vector<float> added, raw, scores;
  std::array<float, 256> partial{};
};

std::string_view name_of(ScoreKind kind) {
  constexpr std::string_view kNames[] = {"previous", "sign", "sketch", "key", "mlp"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string predictor_part(std::uint32_t layer, std::string_view part) {
  return "blocks." + std::to_string(layer) + std::string(kPredictorParts) + std::string(part);
}

void RecentNeurons::fired(std::span<const float> h) {
  CHECK(h.size() == recency_.size());
  for (std::size_t i = 0; i < h.size(); ++i) {
    recency_[i] = recency_[i] * kFading + (h[i] != 0 ? 1 - kFading : 0.0F);
  }
}

namespace {

Result<Odds> read_odds(PartReader& parts, std::string_view kind, std::uint32_t neurons) {
  const std::string name(kind);
  Odds odds;
  if (!parts.has(name + ".scale")) return odds;
  TRY(odds.scale, parts.values(name + ".scale", 1, neurons));
  TRY(odds.bias, parts.values(name + ".bias", 1, neurons));
  return odds;
}

Result<Guess> read_guess(PartReader& parts, std::uint32_t width) {
  Guess guess;
  TRY(guess.input, parts.values("guess.input", 1, width));
  TRY(guess.shift, parts.values("guess.shift", 1, width));
  TRY(guess.bias, parts.values("guess.bias", 1, width));
  if (!parts.has("guess.down")) return guess;
  TRY(guess.down, parts.matrix("guess.down", 0, width));
  TRY(guess.up, parts.matrix("guess.up", width, guess.down.rows()));
  return guess;
}

// Of a layer: as many as its key matrix has rows.
std::uint32_t neurons_of(const Manifest& manifest, std::uint32_t layer) {
  const TensorEntry* const key =
      find_tensor(manifest, "blocks." + std::to_string(layer) + ".ffn.key.weight");
  const std::uint32_t most = manifest.config.ffn_width;
  return key == nullptr ? most : std::min(key->rows, most);
}

}  // namespace

Result<void> NeuronPredictor::Layer::read(PartReader& parts) {
  TRY(previous, read_odds(parts, "previous", neurons));
  TRY(sign, read_odds(parts, "sign", neurons));
  TRY(sketch, read_odds(parts, "sketch", neurons));
  TRY(key, read_odds(parts, "key", neurons));
  TRY(mlp, read_odds(parts, "mlp", neurons));
  if (guesses()) {
    TRY(guess, read_guess(parts, width));
  }
  if (!sign.is_absent()) {
    TRY(signs.bytes, parts.byte_values("sign.bytes", neurons, sign_bytes(width)));
  }
  if (!sketch.is_absent()) {
    TRY(sketch_down, parts.matrix("sketch.down", 0, width));
    TRY(sketch_up, parts.matrix("sketch.up", neurons, sketch_down.rows()));
  }
  if (!mlp.is_absent()) {
    TRY(mlp_down, parts.matrix("mlp.down", 0, 2 * width));
    TRY(mlp_up, parts.matrix("mlp.up", neurons, mlp_down.rows()));
  }
  TRY(const std::vector<float> stored, parts.values("cuts", 2, kCuts));
  std::ranges::copy(stored, cuts.begin());
  return {};
}

NeuronPredictor::NeuronPredictor() : scratch_(std::make_unique<Scratch>()) {}
NeuronPredictor::~NeuronPredictor() = default;

Result<std::unique_ptr<NeuronPredictor>> NeuronPredictor::open(PageSource& pages,
                                                               std::span<const MatrixView> keys) {
  const ModelConfig& config = pages.manifest().config;
  if (!PartReader(pages, 0).has("cuts")) return nullptr;
  std::unique_ptr<NeuronPredictor> predictor(new NeuronPredictor);
  for (std::uint32_t index = 0; index < config.layers; ++index) {
    PartReader parts(pages, index);
    Layer& layer = predictor->layers_.emplace_back();
    layer.width = config.width;
    layer.neurons = neurons_of(pages.manifest(), index);
    TRY_VOID(layer.read(parts));
    const bool scores = layer.guesses() || !layer.previous.is_absent() || !layer.mlp.is_absent();
    const bool ranks = std::max({layer.guess.down.rows(), layer.sketch_down.rows(),
                                 layer.mlp_down.rows()}) <= kMostRank;
    if (!scores || !ranks) {
      return fail(Errc::kCorrupt,
                  "the model's predictor has no score for a layer, or an absurd one",
                  "tensor " + predictor_part(index, "cuts"),
                  "compress the model again, or without a predictor");
    }
    if (layer.key.is_absent()) continue;
    if (index >= keys.size() || keys[index].rows != layer.neurons ||
        keys[index].cols != config.width) {
      return fail(Errc::kUsage,
                  "the model's predictor scores with the key matrix, which is not there",
                  "tensor " + predictor_part(index, "key.scale"),
                  "keep key matrices in memory, or compress with another predictor");
    }
    layer.key_rows = keys[index];
  }
  Scratch& scratch = *predictor->scratch_;
  scratch.ones.assign(config.width, 1.0F);
  scratch.zeros.assign(config.width, 0.0F);
  scratch.added.resize(config.width);
  scratch.raw.resize(config.ffn_width);
  scratch.scores.resize(config.ffn_width);
  return predictor;
}

namespace {

// Each neuron's sum of +-x over its signs: a byte of signs at a time, by a table of its sums.
void add_signed(const SignKey& key, std::span<const float> x, std::array<float, 256>& table,
                std::span<float> raw) {
  const std::size_t bytes = sign_bytes(static_cast<std::uint32_t>(x.size()));
  std::ranges::fill(raw, 0.0F);
  for (std::size_t byte = 0; byte < bytes; ++byte) {
    float all = 0;
    table[0] = 0;
    for (std::size_t bit = 0; bit < 8; ++bit) {
      const std::size_t channel = byte * 8 + bit;
      const float value = channel < x.size() ? x[channel] : 0.0F;
      all += value;
      const std::size_t half = std::size_t{1} << bit;
      for (std::size_t i = 0; i < half; ++i) table[half + i] = table[i] + 2 * value;
    }
    for (std::size_t i = 0; i < raw.size(); ++i) {
      raw[i] += table[key.bytes[i * bytes + byte]] - all;
    }
  }
}

}  // namespace

void NeuronPredictor::score(const BeforeLayer& before, std::span<float> scores) {
  const Layer& layer = layers_[before.layer.value()];
  Scratch& work = *scratch_;
  const std::uint32_t width = layer.width;
  CHECK(before.residual.size() == width && before.shift.size() == width);
  CHECK(scores.size() == layer.neurons);
  const std::span<float> raw = std::span(work.raw).first(layer.neurons);
  std::ranges::fill(scores, -1e30F);
  const std::span<float> normed = work.normed.shape(width);
  layer_norm(before.residual, {work.ones, work.zeros, kNormEpsilon}, normed);
  if (!layer.previous.is_absent()) {
    CHECK(before.recency.size() == scores.size());
    layer.previous.raise(before.recency, scores);
  }
  if (layer.guesses()) {
    const Guess& guess = layer.guess;
    const std::span<float> to = work.guess.shape(width);
    std::ranges::fill(work.added, 0.0F);
    if (guess.down.rows() != 0) {
      work.normed.make_codes();
      multiply(guess.down.view(), work.normed, work.low.shape(guess.down.rows()));
      work.low.make_codes();
      multiply(guess.up.view(), work.low, work.added);
    }
    for (std::size_t i = 0; i < width; ++i) {
      to[i] = guess.input[i] * normed[i] + guess.shift[i] * before.shift[i] + guess.bias[i] +
              work.added[i];
    }
    work.guess.make_codes();
  }
  const std::span<const float> guessed(work.guess.view().values, layer.guesses() ? width : 0);
  if (!layer.sign.is_absent()) {
    add_signed(layer.signs, guessed, work.partial, raw);
    layer.sign.raise(raw, scores);
  }
  if (!layer.sketch.is_absent()) {
    multiply(layer.sketch_down.view(), work.guess, work.low.shape(layer.sketch_down.rows()));
    work.low.make_codes();
    multiply(layer.sketch_up.view(), work.low, raw);
    layer.sketch.raise(raw, scores);
  }
  if (!layer.key.is_absent()) {
    multiply(layer.key_rows, work.guess, raw);
    layer.key.raise(raw, scores);
  }
  if (layer.mlp.is_absent()) return;
  const std::span<float> both = work.both.shape(2 * width);
  std::ranges::copy(normed, both.begin());
  std::ranges::copy(before.shift, both.begin() + width);
  work.both.make_codes();
  const std::span<float> hidden = work.hidden.shape(layer.mlp_down.rows());
  multiply(layer.mlp_down.view(), work.both, hidden);
  for (float& value : hidden) value = value > 0 ? value : 0.0F;
  work.hidden.make_codes();
  multiply(layer.mlp_up.view(), work.hidden, raw);
  layer.mlp.raise(raw, scores);
}

float NeuronPredictor::cut(LayerIndex layer, double recall, Among among) const {
  const auto step = std::ranges::lower_bound(kCutRecalls, recall - 1e-9);
  const auto index = static_cast<std::size_t>(step - std::begin(kCutRecalls));
  return layers_[layer.value()]
      .cuts[(among == Among::kAll ? 0 : kCuts) + std::min(index, kCuts - 1)];
}

void NeuronPredictor::predict(const BeforeLayer& before, double recall, Among among,
                              std::vector<std::uint32_t>& neurons) {
  const std::span<float> scores =
      std::span(scratch_->scores).first(layers_[before.layer.value()].neurons);
  score(before, scores);
  const float least = cut(before.layer, recall, among);
  neurons.clear();
  for (std::uint32_t i = 0; i < scores.size(); ++i) {
    if (scores[i] >= least) neurons.push_back(i);
  }
}

std::uint64_t NeuronPredictor::bytes() const {
  std::uint64_t bytes = 0;
  for (const Layer& layer : layers_) {
    for (const Odds* odds : {&layer.previous, &layer.sign, &layer.sketch, &layer.key, &layer.mlp}) {
      bytes += odds->bytes();
    }
    for (const ResidentMatrix* matrix :
         {&layer.sketch_down, &layer.sketch_up, &layer.mlp_down, &layer.mlp_up}) {
      bytes += matrix->bytes();
    }
    bytes += layer.guess.bytes() + layer.signs.bytes.size();
  }
  return bytes;
}

std::vector<ScoreKind> NeuronPredictor::kinds() const {
  std::vector<ScoreKind> kinds;
  const Layer& layer = layers_.front();
  if (!layer.previous.is_absent()) kinds.push_back(ScoreKind::kPrevious);
  if (!layer.sign.is_absent()) kinds.push_back(ScoreKind::kSign);
  if (!layer.sketch.is_absent()) kinds.push_back(ScoreKind::kSketch);
  if (!layer.key.is_absent()) kinds.push_back(ScoreKind::kKey);
  if (!layer.mlp.is_absent()) kinds.push_back(ScoreKind::kMlp);
  return kinds;
}

}  // namespace skein
