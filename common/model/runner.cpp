// The forward pass: the frame that all versions of RWKV share, for the rows of any number of
// sequences.
#include <algorithm>
#include <array>

#include "common/base/check.h"
#include "common/model/internal/head_shortcuts.h"
#include "common/model/internal/layer_pass.h"
#include "common/model/model.h"
#include "kernels/ops/norm.h"

namespace skein {

Runner::Runner(const Model& model, Parallel& parallel)
    : model_(model), parallel_(parallel), work_(std::make_unique<Workspace>()) {}
Runner::~Runner() = default;

void Runner::give_back() { work_->undo.give_back(); }

Result<void> Runner::embed(std::span<const TokenId> tokens, Activation& activation) {
  const ModelWeights& weights = model_.weights();
  const std::uint32_t width = weights.config.width;
  activation.x.resize(tokens.size() * width);
  activation.v_first.resize(tokens.size() * width);
  work_->out.shape(1, width);
  const Span row = work_->out.row(0);
  const Rows x{activation.x, width};
  for (std::uint32_t i = 0; i < tokens.size(); ++i) {
    CHECK(tokens[i] < weights.config.vocab);
    if (weights.ln0.weight.empty()) {
      TRY_VOID(weights.embedding->read_row(tokens[i], x.row(i)));
      continue;
    }
    TRY_VOID(weights.embedding->read_row(tokens[i], row));
    layer_norm(row, weights.ln0.with(kLayerNormEpsilon), x.row(i));
  }
  return {};
}

namespace {

// A pass over a paged model, from its beginning to its end; nothing for others.
class PagedPass {
 public:
  PagedPass(PagedTensors* pages, const PagedTensors::Walk& walk, Parallel& parallel)
      : pages_(pages) {
    if (pages_ != nullptr) pages_->begin(walk, parallel);
  }
  ~PagedPass() {
    if (pages_ != nullptr) pages_->end();
  }
  PagedPass(const PagedPass&) = delete;
  PagedPass& operator=(const PagedPass&) = delete;

 private:
  PagedTensors* pages_;
};

}  // namespace

Result<void> Runner::layers(LayerIndex first, LayerIndex last, Activation& activation,
                            std::span<const SequenceRows> sequences) {
  const PagedPass pass(model_.weights().paged, {first.value(), last.value(), false}, parallel_);
  return run_layers(first, last, activation, sequences);
}

Result<void> Runner::run_layers(LayerIndex first, LayerIndex last, Activation& activation,
                                std::span<const SequenceRows> sequences) {
  const ModelWeights& weights = model_.weights();
  const std::uint32_t width = weights.config.width;
  CHECK(first <= last && last.value() <= weights.config.layers);
  LayerPass pass(*work_, parallel_, weights.paged, sequences);
  for (const SequenceRows& sequence : sequences) {
    CHECK(sequence.rows != 0 && sequence.state->config() == weights.config);
  }
  CHECK(pass.rows() != 0 && activation.x.size() == std::size_t{pass.rows()} * width);
  CHECK(activation.v_first.size() == activation.x.size());
  const Rows x{activation.x, width};
  work_->undo.begin(first, last);
  for (LayerIndex index = first; index < last; index = LayerIndex(index.value() + 1)) {
    const LayerWeights& layer = weights.layers[index.value()];
    if (weights.paged != nullptr) {
      work_->undo.keep(index, sequences, parallel_);
      pass.announce(index, x);
    }
    pass.begin(LayerPass::Half::kTimeMix, index, layer.ln1, x);
    const TimeMixing mixing = {index, x, {activation.v_first, width}};
    std::visit([&](const auto& att) { time_mix(pass, att, mixing); }, layer.att);
    pass.end(LayerPass::Half::kTimeMix, index);
    pass.begin(LayerPass::Half::kChannelMix, index, layer.ln2, x);
    pass.channel_mix(layer.ffn, x);
    pass.end(LayerPass::Half::kChannelMix, index);
    if (!pass.outcome()) {
      work_->undo.restore(sequences);
      return pass.outcome();
    }
  }
  return {};
}

Result<void> Runner::layers(LayerIndex first, LayerIndex last, Activation& activation,
                            RwkvState& state) {
  const auto rows = static_cast<std::uint32_t>(activation.x.size() / model_.config().width);
  const SequenceRows one = {&state, rows};
  return layers(first, last, activation, std::span(&one, 1));
}

Result<void> Runner::head(const Activation& activation, std::uint32_t first, std::uint32_t count,
                          std::span<float> logits, std::uint32_t most) {
  const std::uint32_t width = model_.config().width;
  CHECK(logits.size() == std::size_t{count} * model_.config().vocab);
  CHECK(activation.x.size() >= (std::size_t{first} + count) * width);
  if (count == 0) return {};
  const PagedPass pass(model_.weights().paged, {0, 0, true}, parallel_);
  work_->in_o.shape(count, width);
  for (std::uint32_t i = 0; i < count; ++i) {
    norm_for_head(View(activation.x).subspan((std::size_t{first} + i) * width, width), i);
  }
  return multiply_head(logits, most);
}

void Runner::norm_for_head(std::span<const float> x, std::uint32_t row) {
  const ModelWeights& weights = model_.weights();
  layer_norm(x, weights.ln_out.with(kLayerNormEpsilon), work_->in_o.row(row));
  if (weights.head.is_quantized()) work_->in_o.quantize(row);
}

Result<void> Runner::multiply_head(std::span<float> logits, std::uint32_t most) {
  const ModelWeights& weights = model_.weights();
  work_->show(weights.head, work_->in_o);
  HeadPass pass(weights, work_->head, work_->in_o, parallel_);
  return pass.run(logits, most, work_->counters);
}

// What one pass takes of each feed.
struct Runner::Pass {
  struct Share {
    const Feed* feed = nullptr;
    std::size_t done = 0;  // tokens of the feed before this pass
  };
  std::array<TokenId, kMostRows> tokens{};
  std::array<SequenceRows, kMostRows> sequences{};
  std::array<Share, kMostRows> shares{};
  std::uint32_t rows = 0;
  std::uint32_t count = 0;  // of sequences
  std::uint32_t most_rows = kMostRows;

  // Rows whose logits are wanted, and how many of each are, as Feed::most has it.
  struct Wanted {
    std::uint32_t rows = 0;
    std::uint32_t most = 0;
  };
  Wanted wanted() const {
    Wanted wanted;
    bool all = false;  // somebody wants all
    for (std::uint32_t i = 0; i < count; ++i) {
      const Feed& feed = *shares[i].feed;
      const bool ends = shares[i].done + sequences[i].rows == feed.tokens.size();
      const bool every = feed.logits.size() > sequences[i].state->config().vocab;
      if (feed.logits.empty() || !(every || ends)) continue;
      wanted.rows += every ? sequences[i].rows : 1;
      wanted.most = std::max(wanted.most, feed.most);
      all = all || feed.most == 0;
    }
    if (all) wanted.most = 0;
    return wanted;
  }
  void take(const Feed& feed, std::size_t& done) {
    const auto taken = static_cast<std::uint32_t>(
        std::min<std::size_t>(feed.tokens.size() - done, most_rows - rows));
    if (taken == 0) return;
    std::ranges::copy(feed.tokens.subspan(done, taken), &tokens[rows]);
    shares[count] = {&feed, done};
    sequences[count++] = {feed.state, taken};
    rows += taken;
    done += taken;
  }
};

Result<void> Runner::feed(std::span<const Feed> feeds) {
  CHECK(feeds.size() <= kMostRows);
  const std::uint32_t most_rows = std::min(kMostRows, model_.weights().most_rows);
  std::array<std::size_t, kMostRows> done{};
  for (;;) {
    Pass pass;
    pass.most_rows = most_rows;
    for (std::size_t i = 0; i < feeds.size(); ++i) pass.take(feeds[i], done[i]);
    if (pass.rows == 0) return {};
    TRY_VOID(run(pass));
  }
}

Result<void> Runner::run(const Pass& pass) {
  Activation& activation = work_->activation;
  const std::uint32_t layers = model_.config().layers;
  const std::span<const SequenceRows> sequences = std::span(pass.sequences).first(pass.count);
  TRY_VOID(embed(std::span(pass.tokens).first(pass.rows), activation));
  const Pass::Wanted wanted = pass.wanted();
  const bool head = wanted.rows != 0 && !is_screened(model_.weights(), wanted.rows, wanted.most);
  const PagedPass paged(model_.weights().paged, {0, layers, head}, parallel_);
  TRY_VOID(run_layers(LayerIndex(0), LayerIndex(layers), activation, sequences));
  if (const auto read = read_logits(pass, activation); !read) {
    work_->undo.restore(sequences);
    return read;
  }
  for (const SequenceRows& sequence : sequences) {
    sequence.state->step = Step(sequence.state->step.value() + sequence.rows);
  }
  return {};
}

// All wanted rows meet the head at once; their logits go straight to where they are wanted when
// that is one place, through a buffer otherwise.
Result<void> Runner::read_logits(const Pass& pass, const Activation& activation) {
  const std::size_t vocab = model_.config().vocab;
  const std::uint32_t width = model_.config().width;
  std::array<float*, kMostRows> wanted{};
  std::uint32_t count = 0;
  std::uint32_t row = 0;
  const std::uint32_t most = pass.wanted().most;
  work_->in_o.shape(pass.rows, width);
  for (std::uint32_t i = 0; i < pass.count; ++i) {
    const Feed& feed = *pass.shares[i].feed;
    const bool every = feed.logits.size() > vocab;
    CHECK(feed.logits.empty() || feed.logits.size() == (every ? feed.tokens.size() : 1) * vocab);
    for (std::uint32_t j = 0; j < pass.sequences[i].rows; ++j, ++row) {
      const std::size_t token = pass.shares[i].done + j;
      if (feed.logits.empty() || !(every || token + 1 == feed.tokens.size())) continue;
      norm_for_head(View(activation.x).subspan(std::size_t{row} * width, width), count);
      wanted[count++] = &feed.logits[every ? token * vocab : 0];
    }
  }
  if (count == 0) return {};
  work_->in_o.shape(count, width);
  bool one_place = true;
  for (std::uint32_t i = 1; i < count; ++i) one_place &= wanted[i] == wanted[i - 1] + vocab;
  if (one_place) return multiply_head({wanted[0], count * vocab}, most);
  work_->logits.shape(count, static_cast<std::uint32_t>(vocab));
  TRY_VOID(multiply_head(work_->logits.all(), most));
  for (std::uint32_t i = 0; i < count; ++i) std::ranges::copy(work_->logits.row(i), wanted[i]);
  return {};
}

Result<void> Runner::step(TokenId token, RwkvState& state, std::span<float> logits) {
  const Feed one = {std::span(&token, 1), &state, logits};
  return feed(std::span(&one, 1));
}

const Runner::Counters& Runner::counters() const { return work_->counters; }
void Runner::observe(InputObserver* observer) { work_->observer = observer; }

}  // namespace skein
