#include "edge_node/learn/internal/dense_weights.h"

#include "kernels/ops/format.h"

namespace skein::internal {
namespace {

using gradients::Dense;

Dense<float> matrix(const Matrix& stored) {
  const MatrixView view = stored.view();
  Dense<float> dense{view.rows, view.cols, std::vector<float>(std::size_t{view.rows} * view.cols)};
  for (const RowBlock& block : view.blocks) {
    const std::uint64_t bytes = stored_bytes(view.format, view.layout, block.rows, view.cols);
    decode(view.format, view.layout, block.rows, view.cols, ByteView(block.data, bytes),
           std::span(dense.values)
               .subspan(std::size_t{block.first_row} * view.cols,
                        std::size_t{block.rows} * view.cols));
  }
  return dense;
}

Result<Dense<float>> rows_of(EmbeddingTable& table) {
  const std::size_t cols = table.cols();
  Dense<float> dense{table.rows(), table.cols(), std::vector<float>(table.rows() * cols)};
  for (std::uint32_t row = 0; row < table.rows(); ++row) {
    TRY_VOID(table.read_row(row, std::span(dense.values).subspan(row * cols, cols)));
  }
  return dense;
}

Dense<float> transposed(const Dense<float>& w) {
  Dense<float> out{w.cols, w.rows, std::vector<float>(w.values.size())};
  for (std::size_t row = 0; row < w.rows; ++row) {
    for (std::size_t col = 0; col < w.cols; ++col) {
      out.values[col * w.rows + row] = w.values[row * w.cols + col];
    }
  }
  return out;
}

// A matrix and what its factors add to it.
Dense<float> sum(const Matrix& stored, const Factors& factors) {
  if (factors.right.is_absent()) return matrix(stored);
  const Dense<float> right = matrix(factors.right);
  const Dense<float> left = matrix(factors.left);
  Dense<float> all = stored.is_absent() ? Dense<float>{left.rows, right.cols, {}} : matrix(stored);
  all.values.resize(std::size_t{left.rows} * right.cols);
  for (std::size_t row = 0; row < left.rows; ++row) {
    for (std::size_t k = 0; k < left.cols; ++k) {
      const float factor = left.values[row * left.cols + k];
      for (std::size_t col = 0; col < right.cols; ++col) {
        all.values[row * right.cols + col] += factor * right.values[k * right.cols + col];
      }
    }
  }
  return all;
}

Dense<float> vector(const std::vector<float>& values) {
  return {1, static_cast<std::uint32_t>(values.size()), values};
}

// Row i of `rows` is that of token order[i]; no order: of token i.
Dense<float> in_token_order(Dense<float> rows, std::span<const std::uint32_t> order) {
  if (order.empty()) return rows;
  Dense<float> out = rows;
  for (std::size_t i = 0; i < order.size(); ++i) {
    std::copy_n(rows.values.begin() + static_cast<std::ptrdiff_t>(i * rows.cols), rows.cols,
                out.values.begin() + static_cast<std::ptrdiff_t>(order[i]) * rows.cols);
  }
  return out;
}

gradients::Norm<float> norm(const Norm& stored) {
  return {vector(stored.weight), vector(stored.bias)};
}

gradients::Lora<float> lora(const Lora& stored) {
  gradients::Lora<float> dense{matrix(stored.down), matrix(stored.up), {}};
  if (!stored.bias.empty()) dense.bias = vector(stored.bias);
  return dense;
}

gradients::DenseLayer<float> layer(const LayerWeights& stored, bool first) {
  const TimeMix7& att = std::get<TimeMix7>(stored.att);  // checked by the learner
  gradients::DenseLayer<float> dense;
  dense.before_time_mix = norm(stored.ln1);
  dense.before_channel_mix = norm(stored.ln2);
  dense.shift_r = vector(att.x_r);
  dense.shift_w = vector(att.x_w);
  dense.shift_k = vector(att.x_k);
  dense.shift_v = vector(att.x_v);
  dense.shift_a = vector(att.x_a);
  dense.shift_g = vector(att.x_g);
  dense.receptance = sum(att.receptance, att.receptance_factors);
  dense.key = sum(att.key, att.key_factors);
  dense.value = sum(att.value, att.value_factors);
  dense.output = sum(att.output, att.output_factors);
  dense.decay = lora(att.w);
  dense.rate = lora(att.a);
  dense.gate = lora(att.g);
  if (!first) dense.mix = lora(att.v);
  dense.k_k = vector(att.k_k);
  dense.k_a = vector(att.k_a);
  dense.r_k = vector(att.r_k);
  dense.heads_norm = norm(att.ln_x);
  dense.shift_channel = vector(stored.ffn.x_k);
  dense.channel_key = matrix(stored.ffn.key);
  dense.channel_value = stored.ffn.dense_value.is_absent()
                            ? matrix(stored.ffn.value.rows)
                            : transposed(matrix(stored.ffn.dense_value));
  dense.thresholds = vector(stored.ffn.thresholds);
  return dense;
}

}  // namespace

Result<gradients::DenseModel<float>> dense_weights(const ModelWeights& weights) {
  gradients::DenseModel<float> dense;
  dense.width = weights.config.width;
  dense.heads = weights.config.heads;
  dense.head_size = weights.config.head_size;
  dense.ffn_width = weights.config.ffn_width;
  dense.vocab = weights.config.vocab;
  TRY(dense.embedding, rows_of(*weights.embedding));
  dense.after_embedding = norm(weights.ln0);
  for (const LayerWeights& each : weights.layers) {
    dense.layers.push_back(layer(each, dense.layers.empty()));
  }
  dense.before_head = norm(weights.ln_out);
  dense.head = in_token_order(matrix(weights.head), head_order(weights));
  return dense;
}

}  // namespace skein::internal
