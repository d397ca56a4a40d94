#include "common/model/model.h"

#include <algorithm>

#include "common/base/check.h"
#include "common/model/internal/head_shortcuts.h"
#include "common/model/internal/read_layer.h"
#include "common/model/weights.h"

namespace skein {
namespace {

Result<void> check_config(const ModelConfig& config) {
  if (name_of(config.architecture) == "unknown") {
    return fail(Errc::kUnsupported, "only RWKV versions 4 to 7 can be run", "model", "");
  }
  const bool headless =
      config.architecture == Architecture::kRwkv4 && config.heads == 0 && config.head_size == 0;
  const bool has_heads = config.architecture != Architecture::kRwkv4 && config.head_size > 0 &&
                         std::uint64_t{config.heads} * config.head_size == config.width;
  const bool sane = config.layers > 0 && config.layers <= kMaxLayers && config.width > 0 &&
                    config.width <= kMaxWidth && config.ffn_width > 0 &&
                    config.ffn_width <= kMaxFfnWidth && config.vocab > 0 &&
                    config.vocab <= kMaxVocab && (headless || has_heads);
  if (!sane) {
    return fail(Errc::kCorrupt, "shapes outside the limits", "model",
                "import the checkpoint again");
  }
  return {};
}

Result<std::unique_ptr<Tokenizer>> read_tokenizer(PageSource& pages) {
  const TokenizerEntry& entry = pages.manifest().tokenizer;
  if (entry.kind.empty()) return nullptr;
  if (entry.kind != "rwkv-world") {
    return fail(Errc::kUnsupported, "unknown tokenizer kind", "tokenizer", "name one with --vocab");
  }
  std::string file;
  for (const std::uint32_t index : entry.pages) {
    const auto& sizes = pages.manifest().pages;
    const std::size_t end = file.size();
    file.resize(end + (index < sizes.size() ? sizes[index].bytes : 0));
    const MutableByteView added = std::as_writable_bytes(std::span(file).subspan(end));
    TRY_VOID(pages.read(PageIndex(index), 0, added));
  }
  if (file.size() != entry.bytes) {
    return fail(Errc::kCorrupt, "length differs from the manifest", "tokenizer", "fetch it again");
  }
  return Tokenizer::parse(file);
}

// What was there before goes first: there may be no room for both.
Result<void> read_tensors(PageSource& pages, ModelWeights& weights) {
  const ModelConfig& config = weights.config;
  weights.layers.clear();
  weights.head_shortcuts.reset();
  weights.paged = pages.paged();
  weights.most_rows = pages.most_rows();
  TensorReader tensors(pages);
  TRY(weights.embedding,
      tensors.embedding("emb.weight", {Layout::kRows, config.vocab, config.width}));
  if (!tensors.has(std::string(kNormedEmbedding))) {
    TRY(weights.ln0, read_norm(tensors, "blocks.0.ln0", config.width));
  }
  for (std::uint32_t index = 0; index < config.layers; ++index) {
    TRY(LayerWeights layer, read_layer(tensors, index, config));
    weights.layers.push_back(std::move(layer));
  }
  TRY(weights.ln_out, read_norm(tensors, "ln_out", config.width));
  TRY(weights.head, tensors.matrix("head.weight", {Layout::kTiles, config.vocab, config.width}));
  TRY(weights.head_shortcuts, read_head_shortcuts(tensors, config, pages.holds_screen()));
  return {};
}

// Only RWKV-7's states are tuned.
std::optional<RwkvState> tuned_state(const ModelWeights& weights) {
  std::optional<RwkvState> state;
  for (std::uint32_t layer = 0; layer < weights.config.layers; ++layer) {
    const auto* att = std::get_if<TimeMix7>(&weights.layers[layer].att);
    if (att == nullptr || att->time_state.empty()) continue;
    if (!state) state.emplace(weights.config);
    std::ranges::copy(att->time_state, state->wkv(LayerIndex(layer)).begin());
  }
  return state;
}

}  // namespace

const std::byte* Matrix::row_data(std::uint32_t row) const {
  CHECK(layout_ == Layout::kRows && row < rows_);
  const auto after = std::ranges::upper_bound(blocks_, row, {}, &RowBlock::first_row);
  const RowBlock& block = *(after - 1);
  return block.data + (row - block.first_row) * stored_bytes(format_, layout_, 1, cols_);
}

Matrix Matrix::rows_of(std::uint32_t first, std::uint32_t count) const {
  CHECK(layout_ == Layout::kRows && count <= rows_ && first <= rows_ - count);
  Matrix part(name_, {format_, layout_, count, cols_, {}});
  for (const RowBlock& block : blocks_) {
    const std::uint32_t from = std::max(first, block.first_row);
    const std::uint32_t to = std::min(first + count, block.first_row + block.rows);
    if (from < to) part.add({row_data(from), from - first, to - from});
  }
  return part;
}

Model::Model() : weights_(std::make_unique<ModelWeights>()) {}
Model::~Model() = default;

Result<std::unique_ptr<Model>> Model::open(PageSource& pages,
                                           std::shared_ptr<const Tokenizer> vocabulary) {
  const ModelConfig& config = pages.manifest().config;
  TRY_VOID(check_config(config));
  std::unique_ptr<Model> model(new Model);
  ModelWeights& weights = *model->weights_;
  weights.config = config;
  weights.chat_template = pages.manifest().chat_template;
  weights.tokenizer = std::move(vocabulary);
  if (!weights.tokenizer) {  // first: what it takes meanwhile is used again
    TRY(weights.tokenizer, read_tokenizer(pages));
  }
  TRY_VOID(read_tensors(pages, weights));
  model->tuned_ = tuned_state(weights);
  return model;
}

Result<void> Model::reread(PageSource& pages) { return read_tensors(pages, *weights_); }

const ModelConfig& Model::config() const { return weights_->config; }
const Tokenizer* Model::tokenizer() const { return weights_->tokenizer.get(); }
std::shared_ptr<const Tokenizer> Model::vocabulary() const { return weights_->tokenizer; }
const std::string& Model::chat_template() const { return weights_->chat_template; }
const ModelWeights& Model::weights() const { return *weights_; }

RwkvState Model::initial_state() const { return tuned_ ? *tuned_ : RwkvState(config()); }

}  // namespace skein
