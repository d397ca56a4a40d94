#include "edge_node/learn/trainer.h"

#include <algorithm>
#include <cmath>

#include "common/base/check.h"
#include "edge_node/learn/internal/dense_weights.h"
#include "kernels/gradients/window.h"

namespace skein {
namespace {

constexpr float kFirstMoment = 0.9F;
constexpr float kSecondMoment = 0.99F;
constexpr float kTiny = 1e-8F;
constexpr float kLastShare = 0.1F;  // of the learning rate, at the last step

class Adam {
 public:
  explicit Adam(std::size_t size) : first_(size), second_(size) {}

  void step(std::span<const float> gradient, float rate, std::span<float> values) {
    decay_first_ *= kFirstMoment;
    decay_second_ *= kSecondMoment;
    const float scale = 1 / (1 - decay_first_);
    const float scale_second = 1 / (1 - decay_second_);
    for (std::size_t i = 0; i < values.size(); ++i) {
      first_[i] = kFirstMoment * first_[i] + (1 - kFirstMoment) * gradient[i];
      second_[i] = kSecondMoment * second_[i] + (1 - kSecondMoment) * gradient[i] * gradient[i];
      values[i] -= rate * (first_[i] * scale) / (std::sqrt(second_[i] * scale_second) + kTiny);
    }
  }

 private:
  std::vector<float> first_, second_;
  float decay_first_ = 1, decay_second_ = 1;
};

std::vector<float> initial_states(const Model& model) {
  const RwkvState state = model.initial_state();
  std::vector<float> all;
  for (std::uint32_t l = 0; l < model.config().layers; ++l) {
    const auto wkv = state.wkv(LayerIndex(l));
    all.insert(all.end(), wkv.begin(), wkv.end());
  }
  return all;
}

// Scales the sum over a window to a mean, and that down to `limit` if it is longer.
void clip(std::span<float> gradient, std::size_t tokens, float limit) {
  double square = 0;
  for (const float value : gradient) square += static_cast<double>(value) * value;
  const double length = std::sqrt(square) / static_cast<double>(tokens);
  const double shrink = length > limit ? limit / length : 1;
  const auto scale = static_cast<float>(shrink / static_cast<double>(tokens));
  for (float& value : gradient) value *= scale;
}

}  // namespace

struct Trainer::Work {
  Work(const Model& model, gradients::DenseModel<float> weights, std::vector<TokenId> text,
       const TrainerOptions& how)
      : options(how),
        ids(std::move(text)),
        dense(std::move(weights)),
        window(dense),
        initial(initial_states(model)),
        states(initial),
        gradient(initial.size()),
        adam(initial.size()),
        windows((ids.size() + how.context - 1) / how.context) {}

  // Window `index` of the text: what is fed (id 0 first) and what is to be predicted.
  void choose(std::uint64_t index) {
    const std::size_t first = index * options.context;
    targets =
        std::span(ids).subspan(first, std::min<std::size_t>(options.context, ids.size() - first));
    inputs.assign(1, kEndOfText);
    inputs.insert(inputs.end(), targets.begin(), targets.end() - 1);
  }

  void train() {
    window.loss_and_gradient(inputs, targets, states, gradient);
    clip(gradient, inputs.size(), options.clip);
    const std::uint64_t trained = done - windows;
    const float progress =
        static_cast<float>(trained) / static_cast<float>(windows * options.epochs);
    adam.step(gradient, options.learning_rate * (1 - (1 - kLastShare) * progress), states);
  }

  TrainerOptions options;
  std::vector<TokenId> ids;
  gradients::DenseModel<float> dense;
  gradients::Window<float> window;
  std::vector<float> initial, states, gradient;
  Adam adam;
  std::uint64_t windows;
  std::uint64_t done = 0;
  double before = 0, after = 0;
  std::vector<TokenId> inputs;
  std::span<const TokenId> targets;
};

Trainer::Trainer(std::unique_ptr<Work> work) : work_(std::move(work)) {}

Result<std::unique_ptr<Trainer>> Trainer::make(const Model& model, std::vector<TokenId> ids,
                                               const TrainerOptions& options) {
  CHECK(!ids.empty() && options.context >= 1 && options.epochs >= 1);
  if (model.weights().paged != nullptr) {
    return fail(Errc::kUnsupported, "training needs the whole model in memory", "memory budget",
                "give a larger one, or none");
  }
  TRY(auto weights, internal::dense_weights(model.weights()));
  auto work = std::make_unique<Work>(model, std::move(weights), std::move(ids), options);
  return std::unique_ptr<Trainer>(new Trainer(std::move(work)));
}

// The weights as floats, with one matrix more while it is turned; states, gradient, moments and
// what is released of them; a window's tape (kernels/gradients/internal), and a block of logits.
std::uint64_t Trainer::memory(const Manifest& manifest, std::uint32_t context) {
  constexpr std::uint64_t kStates = 12, kOfTape = 22, kOfScratch = 32;
  const ModelConfig& config = manifest.config;
  const std::uint64_t width = config.width, neurons = config.ffn_width, tokens = context;
  const std::uint64_t square = width * width;
  const std::uint64_t head_square = std::uint64_t{config.head_size} * config.head_size;
  std::uint64_t numbers = config.layers * (4 * square + 2 * width * neurons) +
                          std::uint64_t{2} * config.vocab * width +
                          std::max<std::uint64_t>(neurons, config.vocab) * width;
  for (const TensorEntry& tensor : manifest.tensors) {
    const std::uint64_t count = std::uint64_t{tensor.rows} * tensor.cols;
    if (count < square) numbers += count;  // vectors, LoRAs
  }
  numbers += kStates * config.layers * config.heads * head_square;
  numbers += tokens * config.layers * (kOfTape * width + neurons + 4 * config.heads);
  numbers += tokens * (kOfScratch * width + 2 * neurons) + (tokens + 2) * head_square;
  numbers += gradients::kHeadRows * (2ULL * config.vocab + 4 * width);
  constexpr std::uint64_t kSmallThings = std::uint64_t{1} << 20;
  return numbers * sizeof(float) + kSmallThings;
}

Trainer::~Trainer() = default;

bool Trainer::done() const { return work_->done == windows_total(); }

void Trainer::next_window() {
  CHECK(!done());
  Work& work = *work_;
  work.choose(work.done % work.windows);
  const std::uint64_t pass = work.done / work.windows;
  if (pass == 0) {
    work.before += work.window.loss(work.inputs, work.targets, work.states);
  } else if (pass <= work.options.epochs) {
    work.train();
  } else {
    work.after += work.window.loss(work.inputs, work.targets, work.states);
  }
  ++work.done;
}

std::uint64_t Trainer::windows_done() const { return work_->done; }
std::uint64_t Trainer::windows_total() const {
  return work_->windows * (std::uint64_t{work_->options.epochs} + 2);
}
std::uint64_t Trainer::tokens() const { return work_->ids.size(); }
double Trainer::loss_before() const { return work_->before / static_cast<double>(tokens()); }
double Trainer::loss_after() const { return work_->after / static_cast<double>(tokens()); }

RawUpdate Trainer::update() const {
  CHECK(done());
  RawUpdate update{work_->states};
  for (std::size_t i = 0; i < update.delta.size(); ++i) update.delta[i] -= work_->initial[i];
  return update;
}

}  // namespace skein
