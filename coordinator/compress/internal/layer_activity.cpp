#include "coordinator/compress/internal/layer_activity.h"

#include <algorithm>

#include "common/model/weights.h"

namespace skein {
namespace {

// Copies what a pass of one token of each window shows.
class Recorder final : public InputObserver {
 public:
  explicit Recorder(LayerActivity& to) : to_(to) {}
  void saw(std::string_view tensor, std::span<const float> inputs, std::uint32_t width) override {
    RowMatrix* const to = tensor.ends_with("ffn.key.weight")     ? &to_.input
                          : tensor.ends_with("ffn.value.weight") ? &to_.fired
                                                                 : nullptr;
    if (to == nullptr) return;
    std::ranges::copy(inputs, to->data() + std::size_t{row} * width);
  }
  std::uint32_t row = 0;  // of the first window

 private:
  LayerActivity& to_;
};

}  // namespace

double LayerActivity::zero_rate() const {
  const auto silent = (fired.array() == 0.0F).count();
  return static_cast<double>(silent) / static_cast<double>(fired.size());
}

ActivityPass::ActivityPass(const Model& model, Parallel& parallel, const CalibrationText& text)
    : model_(model),
      text_(text),
      runner_(model, parallel),
      windows_(static_cast<std::uint32_t>(text.ids.size() / text.context)) {
  CHECK(windows_ > 0 && windows_ <= kMostActivityWindows);
  CHECK(text.ids.size() == std::size_t{windows_} * text.context);
}

Result<void> ActivityPass::begin() {
  next_ = 0;
  std::vector<TokenId> read(text_.ids.size());
  for (std::size_t i = 0; i < read.size(); ++i) {
    const std::size_t at = i / windows_;
    const std::size_t window = i % windows_;
    read[i] = at == 0 ? kEndOfText : text_.ids[window * text_.context + at - 1];
  }
  return runner_.embed(read, all_);
}

const LayerActivity& ActivityPass::run_layer() {
  const std::size_t width = model_.config().width;
  const auto tokens = static_cast<Eigen::Index>(text_.ids.size());
  const auto columns = static_cast<Eigen::Index>(width);
  CHECK(next_ < model_.config().layers);
  activity_.layer = next_;
  activity_.windows = windows_;
  activity_.residual = Eigen::Map<const RowMatrix>(all_.x.data(), tokens, columns);
  activity_.shift.resize(tokens, columns);
  activity_.input.resize(tokens, columns);
  activity_.fired.resize(tokens, model_.weights().layers[next_].ffn.key.rows());
  Recorder recorder(activity_);
  runner_.observe(&recorder);
  std::vector<RwkvState> states(windows_, model_.initial_state());
  std::vector<SequenceRows> sequences;
  for (RwkvState& state : states) sequences.push_back({&state, 1});
  Activation some;
  const LayerIndex layer(next_);
  for (std::uint32_t at = 0; at < text_.context; ++at) {
    recorder.row = at * windows_;
    for (std::uint32_t i = 0; i < windows_; ++i) {
      std::ranges::copy(states[i].channel_mix_shift(layer),
                        activity_.shift.row(recorder.row + i).data());
    }
    const std::size_t first = recorder.row * width;
    const std::size_t count = windows_ * width;
    some.x.assign(&all_.x[first], &all_.x[first] + count);
    some.v_first.assign(&all_.v_first[first], &all_.v_first[first] + count);
    runner_.layers(layer, LayerIndex(next_ + 1), some, sequences);
    std::ranges::copy(some.x, &all_.x[first]);
    std::ranges::copy(some.v_first, &all_.v_first[first]);
  }
  runner_.observe(nullptr);
  ++next_;
  return activity_;
}

RowMatrix floats_of(const MatrixView& view) {
  RowMatrix rows(view.rows, view.cols);
  for (const RowBlock& block : view.blocks) {
    const std::uint64_t bytes = stored_bytes(view.format, view.layout, block.rows, view.cols);
    decode(view.format, view.layout, block.rows, view.cols, {block.data, bytes},
           {rows.row(block.first_row).data(), std::size_t{block.rows} * view.cols});
  }
  return rows;
}

}  // namespace skein
