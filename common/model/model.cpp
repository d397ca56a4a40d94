#include "common/model/model.h"

#include <algorithm>

#include "common/base/check.h"
#include "common/model/internal/tensor_reader.h"
#include "common/model/weights.h"

namespace skein {
namespace {

Result<void> check_config(const ModelConfig& config) {
  if (config.architecture != Architecture::kRwkv7) {
    return fail(Errc::kUnsupported, "only RWKV-7 models can be run", "model", "");
  }
  const bool sane = config.layers > 0 && config.layers <= kMaxLayers && config.width > 0 &&
                    config.width <= kMaxWidth && config.ffn_width > 0 &&
                    config.ffn_width <= kMaxFfnWidth && config.vocab > 0 &&
                    config.vocab <= kMaxVocab && config.head_size > 0 &&
                    std::uint64_t{config.heads} * config.head_size == config.width;
  if (!sane) {
    return fail(Errc::kCorrupt, "shapes outside the limits", "model",
                "import the checkpoint again");
  }
  return {};
}

Result<Norm> read_norm(TensorReader& tensors, const std::string& name, std::size_t width) {
  Norm norm;
  TRY(norm.weight, tensors.vector(name + ".weight", width));
  TRY(norm.bias, tensors.vector(name + ".bias", width));
  return norm;
}

// `name` is the letter's prefix: "blocks.0.att.w" has w1, w2 and, unless it is the gate, w0.
Result<Lora> read_lora(TensorReader& tensors, const std::string& name, std::uint32_t width,
                       bool has_bias) {
  Lora lora;
  TRY(lora.down, tensors.matrix(name + "1", {Layout::kTiles, 0, width}));
  TRY(lora.up, tensors.matrix(name + "2", {Layout::kTiles, width, lora.down.rows()}));
  if (has_bias) {
    TRY(lora.bias, tensors.vector(name + "0", width));
  }
  return lora;
}

Result<TimeMix> read_time_mix(TensorReader& tensors, const std::string& att,
                              const ModelConfig& config, bool first_layer) {
  const std::uint32_t width = config.width;
  TimeMix mix;
  TRY(mix.x_r, tensors.vector(att + "x_r", width));
  TRY(mix.x_w, tensors.vector(att + "x_w", width));
  TRY(mix.x_k, tensors.vector(att + "x_k", width));
  TRY(mix.x_v, tensors.vector(att + "x_v", width));
  TRY(mix.x_a, tensors.vector(att + "x_a", width));
  TRY(mix.x_g, tensors.vector(att + "x_g", width));
  TRY(mix.receptance, tensors.matrix(att + "receptance.weight", {Layout::kTiles, width, width}));
  TRY(mix.key, tensors.matrix(att + "key.weight", {Layout::kTiles, width, width}));
  TRY(mix.value, tensors.matrix(att + "value.weight", {Layout::kTiles, width, width}));
  TRY(mix.output, tensors.matrix(att + "output.weight", {Layout::kTiles, width, width}));
  TRY(mix.w, read_lora(tensors, att + "w", width, true));
  TRY(mix.a, read_lora(tensors, att + "a", width, true));
  TRY(mix.g, read_lora(tensors, att + "g", width, false));
  if (!first_layer) {
    TRY(mix.v, read_lora(tensors, att + "v", width, true));
  }
  TRY(mix.k_k, tensors.vector(att + "k_k", width));
  TRY(mix.k_a, tensors.vector(att + "k_a", width));
  TRY(mix.r_k, tensors.vector(att + "r_k", width));
  TRY(mix.ln_x, read_norm(tensors, att + "ln_x", width));
  if (tensors.has(att + "time_state")) {
    TRY(mix.time_state, tensors.vector(att + "time_state", std::size_t{width} * config.head_size));
  }
  return mix;
}

Result<LayerWeights> read_layer(TensorReader& tensors, std::uint32_t index,
                                const ModelConfig& config) {
  const std::string block = "blocks." + std::to_string(index) + ".";
  const std::uint32_t width = config.width;
  LayerWeights layer;
  TRY(layer.ln1, read_norm(tensors, block + "ln1", width));
  TRY(layer.ln2, read_norm(tensors, block + "ln2", width));
  TRY(layer.att, read_time_mix(tensors, block + "att.", config, index == 0));
  TRY(layer.ffn.x_k, tensors.vector(block + "ffn.x_k", width));
  TRY(layer.ffn.key,
      tensors.matrix(block + "ffn.key.weight", {Layout::kTiles, config.ffn_width, width}));
  TRY(layer.ffn.value,
      tensors.matrix(block + "ffn.value.weight", {Layout::kRows, config.ffn_width, width}));
  return layer;
}

Result<std::unique_ptr<Tokenizer>> read_tokenizer(PageSource& pages) {
  const TokenizerEntry& entry = pages.manifest().tokenizer;
  if (entry.kind.empty()) return nullptr;
  if (entry.kind != "rwkv-world") {
    return fail(Errc::kUnsupported, "unknown tokenizer kind", "tokenizer", "name one with --vocab");
  }
  std::string file;
  for (const std::uint32_t index : entry.pages) {
    TRY(const ByteView page, pages.page(PageIndex(index)));
    file += as_text(page);
  }
  if (file.size() != entry.bytes) {
    return fail(Errc::kCorrupt, "length differs from the manifest", "tokenizer", "fetch it again");
  }
  return Tokenizer::parse(file);
}

}  // namespace

const std::byte* Matrix::row_data(std::uint32_t row) const {
  CHECK(layout_ == Layout::kRows && row < rows_);
  const auto after = std::ranges::upper_bound(blocks_, row, {}, &RowBlock::first_row);
  const RowBlock& block = *(after - 1);
  return block.data + (row - block.first_row) * stored_bytes(format_, layout_, 1, cols_);
}

Model::Model() : weights_(std::make_unique<ModelWeights>()) {}
Model::~Model() = default;

Result<std::unique_ptr<Model>> Model::open(PageSource& pages) {
  const ModelConfig& config = pages.manifest().config;
  TRY_VOID(check_config(config));
  std::unique_ptr<Model> model(new Model);
  ModelWeights& weights = *model->weights_;
  weights.config = config;
  weights.chat_template = pages.manifest().chat_template;
  TensorReader tensors(pages);
  TRY(weights.embedding, tensors.matrix("emb.weight", {Layout::kRows, config.vocab, config.width}));
  TRY(weights.ln0, read_norm(tensors, "blocks.0.ln0", config.width));
  for (std::uint32_t index = 0; index < config.layers; ++index) {
    TRY(LayerWeights layer, read_layer(tensors, index, config));
    weights.layers.push_back(std::move(layer));
  }
  TRY(weights.ln_out, read_norm(tensors, "ln_out", config.width));
  TRY(weights.head, tensors.matrix("head.weight", {Layout::kTiles, config.vocab, config.width}));
  TRY(weights.tokenizer, read_tokenizer(pages));
  return model;
}

const ModelConfig& Model::config() const { return weights_->config; }
const Tokenizer* Model::tokenizer() const { return weights_->tokenizer.get(); }
const std::string& Model::chat_template() const { return weights_->chat_template; }
const ModelWeights& Model::weights() const { return *weights_; }

RwkvState Model::initial_state() const {
  RwkvState state(weights_->config);
  for (std::uint32_t layer = 0; layer < weights_->config.layers; ++layer) {
    std::ranges::copy(weights_->layers[layer].att.time_state, state.wkv(LayerIndex(layer)).begin());
  }
  return state;
}

}  // namespace skein
