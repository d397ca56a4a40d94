// The time mixing of RWKV-7 "Goose" (Peng et al. 2025). Names follow the paper and the official
// weights: S is the state of a head.
#include <algorithm>

#include "common/model/internal/layer_pass.h"
#include "kernels/ops/activations.h"
#include "kernels/ops/wkv.h"

namespace skein {
namespace {

constexpr std::size_t kLineFloats = 16;  // of a cache line

// Everything between the LoRAs and the output: a task takes some heads, whose channels meet no
// other head's until the output matrix.
class Heads {
 public:
  Heads(LayerPass& pass, const TimeMix7& att, const TimeMixing& mixing, HeadTasks tasks)
      : pass_(pass), att_(att), mixing_(mixing), tasks_(tasks) {}

  void run(std::uint32_t task) const {
    const HeadTasks::Part part = tasks_.part(task);
    fetch(part);
    for (std::uint32_t row = 0; row < pass_.rows(); ++row) prepare(part, row);
    for (std::uint32_t head = part.head; head < part.head + part.heads; ++head) {
      update_state(head, head + 1 < tasks_.heads() ? state_of(0, head + 1) : nullptr);
    }
    for (std::uint32_t row = 0; row < pass_.rows(); ++row) finish(part, row);
  }

 private:
  // The vectors that follow this task's channels: they come from memory or another core, a few
  // lines each, too short for the hardware to see them coming.
  void fetch(const HeadTasks::Part& part) const {
    Workspace& work = pass_.work;
    const std::size_t from = std::size_t{part.first} + part.outputs;
    const auto lines = [&](View all) {
      const std::size_t to = std::min<std::size_t>(all.size(), from + part.outputs);
      for (std::size_t i = from; i < to; i += kLineFloats) __builtin_prefetch(&all[i], 0, 2);
    };
    for (const auto* vector : {&att_.w.bias, &att_.a.bias, &att_.v.bias, &att_.k_k, &att_.k_a,
                               &att_.r_k, &att_.ln_x.weight, &att_.ln_x.bias}) {
      lines(*vector);
    }
    for (RowBuffer* rows : {&work.r, &work.k, &work.v, &work.w, &work.a, &work.gate, &work.g}) {
      if (rows->rows() != 0) lines(rows->row(0));
    }
  }

  // w, a, v; then kk = normalize(k k_k);  b = kk a;  k = k + k (a - 1) k_a
  void prepare(const HeadTasks::Part& part, std::uint32_t row) const {
    Workspace& work = pass_.work;
    const std::size_t at = part.first;
    const bool first_layer = att_.v.up.is_absent();
    prepare_heads({.w = &work.w.row(row)[at],
                   .w_bias = &att_.w.bias[at],
                   .a = &work.a.row(row)[at],
                   .a_bias = &att_.a.bias[at],
                   .v = &work.v.row(row)[at],
                   .v_first = &mixing_.v_first.row(row)[at],
                   .gate = first_layer ? nullptr : &work.gate.row(row)[at],
                   .gate_bias = first_layer ? nullptr : &att_.v.bias[at],
                   .k = &work.k.row(row)[at],
                   .kk = &work.kk.row(row)[at],
                   .b = &work.b.row(row)[at],
                   .k_k = &att_.k_k[at],
                   .k_a = &att_.k_a[at],
                   .count = part.outputs,
                   .size = tasks_.size});
  }

  // y = S r, token after token of each sequence; meanwhile the next state comes from memory.
  void update_state(std::uint32_t head, const float* after_last) const {
    std::uint32_t row = 0;
    for (std::size_t i = 0; i < pass_.sequences.size(); ++i) {
      const bool last = i + 1 == pass_.sequences.size();
      const float* const next = last ? after_last : state_of(i + 1, head);
      for (const std::uint32_t end = row + pass_.sequences[i].rows; row < end; ++row) {
        update_row(state_of(i, head), head, row, row + 1 == end ? next : nullptr);
      }
    }
  }

  float* state_of(std::size_t sequence, std::uint32_t head) const {
    const std::size_t floats = std::size_t{tasks_.size} * tasks_.size;
    return &pass_.sequences[sequence].state->wkv(mixing_.layer)[head * floats];
  }

  void update_row(float* state, std::uint32_t head, std::uint32_t row, const float* next) const {
    Workspace& work = pass_.work;
    const std::size_t at = std::size_t{head} * tasks_.size;
    wkv({.state = state,
         .r = &work.r.row(row)[at],
         .w = &work.w.row(row)[at],
         .k = &work.k.row(row)[at],
         .v = &work.v.row(row)[at],
         .kk = &work.kk.row(row)[at],
         .b = &work.b.row(row)[at],
         .y = &work.in_o.row(row)[at],
         .size = tasks_.size,
         .soon = next});
  }

  // y = (group norm(y) + (sum over the head of r k r_k) v) g
  void finish(const HeadTasks::Part& part, std::uint32_t row) const {
    Workspace& work = pass_.work;
    const std::size_t at = part.first;
    finish_heads({.y = &work.in_o.row(row)[at],
                  .r = &work.r.row(row)[at],
                  .k = &work.k.row(row)[at],
                  .v = &work.v.row(row)[at],
                  .g = &work.g.row(row)[at],
                  .r_k = &att_.r_k[at],
                  .norm_weight = &att_.ln_x.weight[at],
                  .norm_bias = &att_.ln_x.bias[at],
                  .epsilon = kGroupNormEpsilon,
                  .count = part.outputs,
                  .size = tasks_.size});
    if (att_.reads_codes_of_heads()) work.in_o.quantize(row, part.first, part.outputs);
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

}  // namespace

void time_mix(LayerPass& pass, const TimeMix7& att, const TimeMixing& mixing) {
  Workspace& work = pass.work;
  const Factors& by_r = att.receptance_factors;
  const Factors& by_k = att.key_factors;
  const Factors& by_v = att.value_factors;
  pass.mix({{att.x_r, work.in_r, reader_of({&att.receptance, &by_r.right})},
            {att.x_w, work.in_w, att.w.down},
            {att.x_k, work.in_k, reader_of({&att.key, &by_k.right})},
            {att.x_v, work.in_v, reader_of({&att.value, &att.v.down, &by_v.right})},
            {att.x_a, work.in_a, att.a.down},
            {att.x_g, work.in_g, att.g.down}});
  pass.multiply({{att.receptance, work.in_r, work.r},
                 {att.key, work.in_k, work.k},
                 {att.value, work.in_v, work.v},
                 first_factor(by_r, work.in_r, work.by_r),
                 first_factor(by_k, work.in_k, work.by_k),
                 first_factor(by_v, work.in_v, work.by_v),
                 {att.w.down, work.in_w, work.low_w},
                 {att.a.down, work.in_a, work.low_a},
                 {att.v.down, work.in_v, work.low_v},
                 {att.g.down, work.in_g, work.low_g}});
  activate_loras(pass, att);
  const ModelConfig& config = pass.sequences[0].state->config();
  pass.multiply({{att.w.up, work.low_w, work.w},
                 {att.a.up, work.low_a, work.a},
                 {att.v.up, work.low_v, work.gate},
                 {att.g.up, work.low_g, work.g},
                 second_factor(by_r, att.receptance, work.by_r, work.r),
                 second_factor(by_k, att.key, work.by_k, work.k),
                 second_factor(by_v, att.value, work.by_v, work.v)});
  work.kk.shape(pass.rows(), config.width);
  work.b.shape(pass.rows(), config.width);
  work.in_o.shape(pass.rows(), config.width);
  const HeadTasks tasks(config.heads, config.head_size);
  const Heads heads(pass, att, mixing, tasks);
  pass.for_tasks(tasks.count, [&](std::uint32_t task) { heads.run(task); });
  pass.add_output(att, mixing.x);
}

}  // namespace skein
