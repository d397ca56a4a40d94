// The time mixing of RWKV-7 "Goose" (Peng et al. 2025). Names follow the paper and the official
// weights: S is the state of a head.
#include <algorithm>

#include "common/model/internal/layer_pass.h"
#include "kernels/ops/activations.h"
#include "kernels/ops/norm.h"
#include "kernels/ops/wkv.h"

namespace skein {
namespace {

// Everything between the projections and the output: a task takes some heads, whose channels meet
// no other head's until the output matrix.
class Heads {
 public:
  Heads(LayerPass& pass, const TimeMix7& att, const TimeMixing& mixing, HeadTasks tasks)
      : pass_(pass), att_(att), mixing_(mixing), tasks_(tasks) {}

  void run(std::uint32_t task) const {
    const HeadTasks::Part part = tasks_.part(task);
    raise_loras(part);
    for (std::uint32_t row = 0; row < pass_.rows(); ++row) prepare(part, row);
    for (std::uint32_t i = 0; i < part.heads; ++i) update_state(part.head + i);
    for (std::uint32_t row = 0; row < pass_.rows(); ++row) finish(part, row);
  }

 private:
  struct Slice {
    std::size_t first, count;
    Span operator()(Span all) const { return all.subspan(first, count); }
    View operator()(View all) const { return all.subspan(first, count); }
    View operator()(const std::vector<float>& all) const { return View(all).subspan(first, count); }
  };
  static Slice slice_of(const HeadTasks::Part& part) { return {part.first, part.outputs}; }

  void raise_loras(const HeadTasks::Part& part) const {
    Workspace& work = pass_.work;
    const auto raise = [&](const Lora& lora, InputBuffer& low, RowBuffer& y) {
      if (!lora.up.is_absent()) {
        pass_.multiply_part({lora.up, low, y}, part.first, part.outputs);
      }
    };
    raise(att_.w, work.low_w, work.w);
    raise(att_.a, work.low_a, work.a);
    raise(att_.v, work.low_v, work.gate);
    raise(att_.g, work.low_g, work.g);
  }

  // v += (v_first - v) sigmoid(lora(x_v)); layer 0, which has no v-LoRA, sets v_first.
  void mix_in_first_value(const Slice& of, std::uint32_t row) const {
    const Span v = of(pass_.work.v.row(row));
    const Span first = of(mixing_.v_first.row(row));
    if (att_.v.up.is_absent()) {
      std::ranges::copy(v, first.begin());
      return;
    }
    const Span gate = of(pass_.work.gate.row(row));
    add_to(gate, of(att_.v.bias));
    sigmoid_all(gate);
    for (std::size_t i = 0; i < v.size(); ++i) v[i] += (first[i] - v[i]) * gate[i];
  }

  // w, a, v; then kk = normalize(k k_k);  b = kk a;  k = k + k (a - 1) k_a
  void prepare(const HeadTasks::Part& part, std::uint32_t row) const {
    Workspace& work = pass_.work;
    const Slice of = slice_of(part);
    const Span w = of(work.w.row(row));
    add_to(w, of(att_.w.bias));
    decay_all(w);  // exp(-exp(-0.5) sigmoid(.))
    const Span a = of(work.a.row(row));
    add_to(a, of(att_.a.bias));
    sigmoid_all(a);
    mix_in_first_value(of, row);
    const Span k = of(work.k.row(row)), kk = of(work.kk.row(row)), b = of(work.b.row(row));
    const View k_k = of(att_.k_k), k_a = of(att_.k_a);
    for (std::size_t i = 0; i < k.size(); ++i) kk[i] = k[i] * k_k[i];
    normalize_groups(kk, part.heads);
    for (std::size_t i = 0; i < k.size(); ++i) {
      b[i] = kk[i] * a[i];
      k[i] += k[i] * (a[i] - 1.0F) * k_a[i];
    }
  }

  // y = S r, token after token of each sequence.
  void update_state(std::uint32_t head) const {
    Workspace& work = pass_.work;
    const std::size_t at = std::size_t{head} * tasks_.size;
    std::uint32_t row = 0;
    for (const SequenceRows& sequence : pass_.sequences) {
      float* const state = &sequence.state->wkv(mixing_.layer)[at * tasks_.size];
      for (const std::uint32_t end = row + sequence.rows; row < end; ++row) {
        wkv({.state = state,
             .r = &work.r.row(row)[at],
             .w = &work.w.row(row)[at],
             .k = &work.k.row(row)[at],
             .v = &work.v.row(row)[at],
             .kk = &work.kk.row(row)[at],
             .b = &work.b.row(row)[at],
             .y = &work.in_o.row(row)[at],
             .size = tasks_.size});
      }
    }
  }

  // y = (group norm(y) + (sum over the head of r k r_k) v) g
  void finish(const HeadTasks::Part& part, std::uint32_t row) const {
    Workspace& work = pass_.work;
    const Slice of = slice_of(part);
    const Span y = of(work.in_o.row(row));
    group_norm(y, part.heads, {of(att_.ln_x.weight), of(att_.ln_x.bias), kGroupNormEpsilon}, y);
    const View r = of(work.r.row(row)), k = of(work.k.row(row)), v = of(work.v.row(row));
    const View g = of(work.g.row(row)), r_k = of(att_.r_k);
    const Span rk = of(work.kk.row(row));  // its use is over
    for (std::size_t i = 0; i < rk.size(); ++i) rk[i] = r[i] * k[i];
    for (std::size_t first = 0; first < rk.size(); first += tasks_.size) {
      const float bonus =
          ordered_dot(rk.subspan(first, tasks_.size), r_k.subspan(first, tasks_.size));
      for (std::size_t i = first; i < first + tasks_.size; ++i) y[i] += bonus * v[i];
    }
    for (std::size_t i = 0; i < y.size(); ++i) y[i] *= g[i];
    if (att_.output.is_quantized()) work.in_o.quantize(row, part.first, part.outputs);
  }

  LayerPass& pass_;
  const TimeMix7& att_;
  const TimeMixing& mixing_;
  HeadTasks tasks_;
};

// What the second matrices of the LoRAs multiply: tanh(.), ., ., sigmoid(.)
void activate_loras(LayerPass& pass, const TimeMix7& att) {
  Workspace& work = pass.work;
  for (InputBuffer* low : {&work.low_w, &work.low_a, &work.low_v, &work.low_g}) {
    low->make_room_for_codes();
  }
  pass.for_rows([&](std::uint32_t i) {
    tanh_all(work.low_w.row(i));
    sigmoid_all(work.low_g.row(i));
    if (att.w.up.is_quantized()) work.low_w.quantize(i);
    if (att.a.up.is_quantized()) work.low_a.quantize(i);
    if (att.v.up.is_quantized()) work.low_v.quantize(i);
    if (att.g.up.is_quantized()) work.low_g.quantize(i);
  });
}

// The wider of what two matrices want of the same input.
const Matrix& reader_of(const Matrix& a, const Matrix& b) { return a.is_quantized() ? a : b; }

}  // namespace

void time_mix(LayerPass& pass, const TimeMix7& att, const TimeMixing& mixing) {
  Workspace& work = pass.work;
  pass.mix({{att.x_r, work.in_r, att.receptance},
            {att.x_w, work.in_w, att.w.down},
            {att.x_k, work.in_k, att.key},
            {att.x_v, work.in_v, reader_of(att.value, att.v.down)},
            {att.x_a, work.in_a, att.a.down},
            {att.x_g, work.in_g, att.g.down}});
  pass.multiply({{att.receptance, work.in_r, work.r},
                 {att.key, work.in_k, work.k},
                 {att.value, work.in_v, work.v},
                 {att.w.down, work.in_w, work.low_w},
                 {att.a.down, work.in_a, work.low_a},
                 {att.v.down, work.in_v, work.low_v},
                 {att.g.down, work.in_g, work.low_g}});
  activate_loras(pass, att);
  const ModelConfig& config = pass.sequences[0].state->config();
  for (RowBuffer* buffer : {&work.w, &work.a, &work.gate, &work.g, &work.kk, &work.b}) {
    buffer->shape(pass.rows(), config.width);
  }
  work.in_o.shape(pass.rows(), config.width);
  const HeadTasks tasks(config.heads, config.head_size);
  const Heads heads(pass, att, mixing, tasks);
  pass.for_tasks(tasks.count, [&](std::uint32_t task) { heads.run(task); });
  pass.add_output(att.output, mixing.x);
}

}  // namespace skein
