#include "common/model/internal/read_layer.h"

#include <algorithm>

#include "kernels/ops/activations.h"

namespace skein {
namespace {

struct LayerReader {
  TensorReader& tensors;
  const ModelConfig& config;
  std::string block;  // "blocks.3."

  Result<void> read(TimeMix4& mix);
  Result<void> read(TimeMix5& mix);
  Result<void> read(TimeMix6& mix);
  Result<void> read(TimeMix7& mix, bool first_layer);
  Result<void> read(ChannelMix& mix);
  Result<void> read_value(ChannelMix& mix);
  Result<LayerWeights> layer(std::uint32_t index);

 private:
  Result<std::vector<float>> vector(const std::string& name);
  Result<std::vector<float>> stored_mix(const std::string& name);
  Result<std::vector<float>> per_head(const std::string& name);
  Result<void> square(const std::string& name, Matrix& matrix, Factors& factors);
  Result<void> read(Projections& projections);
  Result<Lora> lora(const std::string& down, const std::string& up);
};

// With bounds found in its rows: all of its pages are looked at.
Result<NeuronMajor> neuron_major(TensorReader& tensors, Matrix rows) {
  NeuronMajor out{std::move(rows), {}};
  if (!out.rows.is_quantized()) return out;
  TRY(out.bounds, tensors.row_bounds(out.rows));
  return out;
}

Result<std::vector<float>> LayerReader::vector(const std::string& name) {
  return tensors.vector(block + name, config.width);
}

// Versions 4 and 5 store how much of this token counts; the shift wants the previous one's share.
Result<std::vector<float>> LayerReader::stored_mix(const std::string& name) {
  TRY(std::vector<float> mix, vector(name));
  for (float& value : mix) value = 1.0F - value;
  return mix;
}

// A value a head, for every channel of it.
Result<std::vector<float>> LayerReader::per_head(const std::string& name) {
  TRY(const std::vector<float> values, tensors.vector(block + name, config.heads));
  std::vector<float> all;
  for (const float value : values) all.insert(all.end(), config.head_size, value);
  return all;
}

// The matrix, its two factors, or all three.
Result<void> LayerReader::square(const std::string& name, Matrix& matrix, Factors& factors) {
  const std::string right = block + name + std::string(kRightFactor);
  const std::string left = block + name + std::string(kLeftFactor);
  const bool factored = tensors.has(right) || tensors.has(left);
  if (!factored || tensors.has(block + name)) {
    TRY(matrix, tensors.matrix(block + name, {Layout::kTiles, config.width, config.width}));
  }
  if (!factored) return {};
  TRY(factors.right, tensors.matrix(right, {Layout::kTiles, 0, config.width}));
  TRY(factors.left, tensors.matrix(left, {Layout::kTiles, config.width, factors.right.rows()}));
  return {};
}

Result<void> LayerReader::read(Projections& all) {
  TRY_VOID(square("att.receptance.weight", all.receptance, all.receptance_factors));
  TRY_VOID(square("att.key.weight", all.key, all.key_factors));
  TRY_VOID(square("att.value.weight", all.value, all.value_factors));
  return square("att.output.weight", all.output, all.output_factors);
}

Result<Lora> LayerReader::lora(const std::string& down, const std::string& up) {
  Lora lora;
  TRY(lora.down, tensors.matrix(block + down, {Layout::kTiles, 0, config.width}));
  TRY(lora.up, tensors.matrix(block + up, {Layout::kTiles, config.width, lora.down.rows()}));
  return lora;
}

Result<void> LayerReader::read(TimeMix4& mix) {
  TRY_VOID(read(static_cast<Projections&>(mix)));
  TRY(mix.x_r, stored_mix("att.time_mix_r"));
  TRY(mix.x_k, stored_mix("att.time_mix_k"));
  TRY(mix.x_v, stored_mix("att.time_mix_v"));
  TRY(mix.decay, vector("att.time_decay"));
  for (float& value : mix.decay) value = -exp_of(value);
  TRY(mix.first, vector("att.time_first"));
  return {};
}

Result<void> LayerReader::read(TimeMix5& mix) {
  TRY_VOID(read(static_cast<Projections&>(mix)));
  TRY(mix.x_r, stored_mix("att.time_mix_r"));
  TRY(mix.x_k, stored_mix("att.time_mix_k"));
  TRY(mix.x_v, stored_mix("att.time_mix_v"));
  if (tensors.has(block + "att.gate.weight") ||
      tensors.has(block + "att.gate.weight" + std::string(kRightFactor))) {
    TRY(mix.x_g, stored_mix("att.time_mix_g"));
    TRY_VOID(square("att.gate.weight", mix.gate, mix.gate_factors));
  }
  if (config.architecture == Architecture::kRwkv5_1) {
    TRY(mix.decay, per_head("att.time_decay"));
    TRY(mix.bonus, per_head("att.time_first"));
    for (float& value : mix.bonus) value = exp_of(value);
  } else {
    TRY(mix.decay, vector("att.time_decay"));
    TRY(mix.bonus, vector("att.time_faaaa"));
  }
  exp_decay_all(mix.decay);
  TRY(mix.ln_x, read_norm(tensors, block + "att.ln_x", config.width));
  return {};
}

Result<void> LayerReader::read(TimeMix6& mix) {
  TRY_VOID(read(static_cast<Projections&>(mix)));
  TRY(mix.x_x, vector("att.time_maa_x"));
  TRY(mix.mix_down, tensors.matrix(block + "att.time_maa_w1", {Layout::kTiles, 0, config.width}));
  const std::uint32_t all = mix.mix_down.rows();
  TRY(const Matrix ups,
      tensors.matrix(block + "att.time_maa_w2", {Layout::kRows, all, config.width}));
  constexpr auto kMixes = static_cast<std::uint32_t>(TimeMix6::kMixes);
  if (all % kMixes != 0) {
    return fail(Errc::kCorrupt, "its rank is no multiple of 5",
                "tensor " + block + "att.time_maa_w1", "import the checkpoint again");
  }
  constexpr std::string_view kLetters = "wkvrg";
  for (std::uint32_t i = 0; i < kMixes; ++i) {
    TRY(mix.mix[i], vector(std::string("att.time_maa_") + kLetters[i]));
    TRY(mix.mix_up[i], neuron_major(tensors, ups.rows_of(i * (all / kMixes), all / kMixes)));
  }
  TRY(mix.decay, lora("att.time_decay_w1", "att.time_decay_w2"));
  TRY(mix.decay.bias, vector("att.time_decay"));
  TRY(mix.bonus, vector("att.time_faaaa"));
  TRY_VOID(square("att.gate.weight", mix.gate, mix.gate_factors));
  TRY(mix.ln_x, read_norm(tensors, block + "att.ln_x", config.width));
  return {};
}

Result<void> LayerReader::read(TimeMix7& mix, bool first_layer) {
  TRY_VOID(read(static_cast<Projections&>(mix)));
  TRY(mix.x_r, vector("att.x_r"));
  TRY(mix.x_w, vector("att.x_w"));
  TRY(mix.x_k, vector("att.x_k"));
  TRY(mix.x_v, vector("att.x_v"));
  TRY(mix.x_a, vector("att.x_a"));
  TRY(mix.x_g, vector("att.x_g"));
  TRY(mix.w, lora("att.w1", "att.w2"));
  TRY(mix.w.bias, vector("att.w0"));
  TRY(mix.a, lora("att.a1", "att.a2"));
  TRY(mix.a.bias, vector("att.a0"));
  TRY(mix.g, lora("att.g1", "att.g2"));
  if (!first_layer) {
    TRY(mix.v, lora("att.v1", "att.v2"));
    TRY(mix.v.bias, vector("att.v0"));
  }
  TRY(mix.k_k, vector("att.k_k"));
  TRY(mix.k_a, vector("att.k_a"));
  TRY(mix.r_k, vector("att.r_k"));
  TRY(mix.ln_x, read_norm(tensors, block + "att.ln_x", config.width));
  const std::string state = block + "att.time_state";
  if (tensors.has(state)) {
    TRY(mix.time_state, tensors.vector(state, std::size_t{config.width} * config.head_size));
  }
  return {};
}

Result<void> LayerReader::read_value(ChannelMix& mix) {
  const std::string name = block + "ffn.value.weight";
  const std::uint32_t neurons = mix.key.rows();
  if (tensors.layout_of(name) == Layout::kTiles) {
    TRY(mix.dense_value, tensors.matrix(name, {Layout::kTiles, config.width, neurons}));
    return {};
  }
  TRY(Matrix value, tensors.matrix(name, {Layout::kRows, neurons, config.width}));
  const std::string bounds = block + std::string(kValueBounds);
  if (!value.is_quantized() || !tensors.has(bounds)) {
    TRY(mix.value, neuron_major(tensors, std::move(value)));
    return {};
  }
  mix.value.rows = std::move(value);
  TRY(mix.value.bounds, tensors.vector(bounds, neurons));
  return {};
}

Result<void> LayerReader::read(ChannelMix& mix) {
  const std::string key = block + "ffn.key.weight";
  TRY(mix.key, tensors.matrix(key, {Layout::kTiles, 0, config.width}));
  if (mix.key.rows() > config.ffn_width) {
    return fail(Errc::kCorrupt,
                "it has " + std::to_string(mix.key.rows()) + " neurons, the model's widest layer " +
                    std::to_string(config.ffn_width),
                "tensor " + key, "import the checkpoint again");
  }
  TRY_VOID(read_value(mix));
  if (config.architecture == Architecture::kRwkv7) {
    TRY(mix.x_k, vector("ffn.x_k"));
    return {};
  }
  if (config.architecture == Architecture::kRwkv6) {
    TRY(mix.x_k, vector("ffn.time_maa_k"));
    TRY(mix.x_r, vector("ffn.time_maa_r"));
  } else {
    TRY(mix.x_k, stored_mix("ffn.time_mix_k"));
    TRY(mix.x_r, stored_mix("ffn.time_mix_r"));
  }
  TRY(mix.receptance, tensors.matrix(block + "ffn.receptance.weight",
                                     {Layout::kTiles, config.width, config.width}));
  return {};
}

Result<LayerWeights> LayerReader::layer(std::uint32_t index) {
  LayerWeights layer;
  TRY(layer.ln1, read_norm(tensors, block + "ln1", config.width));
  TRY(layer.ln2, read_norm(tensors, block + "ln2", config.width));
  switch (config.architecture) {
    case Architecture::kRwkv4:
      TRY_VOID(read(layer.att.emplace<TimeMix4>()));
      break;
    case Architecture::kRwkv5_1:
    case Architecture::kRwkv5_2:
      TRY_VOID(read(layer.att.emplace<TimeMix5>()));
      break;
    case Architecture::kRwkv6:
      TRY_VOID(read(layer.att.emplace<TimeMix6>()));
      break;
    case Architecture::kRwkv7:
      TRY_VOID(read(layer.att.emplace<TimeMix7>(), index == 0));
      break;
  }
  TRY_VOID(read(layer.ffn));
  return layer;
}

}  // namespace

Result<Norm> read_norm(TensorReader& tensors, const std::string& name, std::size_t width) {
  Norm norm;
  TRY(norm.weight, tensors.vector(name + ".weight", width));
  TRY(norm.bias, tensors.vector(name + ".bias", width));
  return norm;
}

Result<LayerWeights> read_layer(TensorReader& tensors, std::uint32_t index,
                                const ModelConfig& config) {
  return LayerReader{tensors, config, "blocks." + std::to_string(index) + "."}.layer(index);
}

}  // namespace skein
