// Window: one window of tokens through an RWKV-7 model and back: loss, and its gradient with
// respect to every layer's initial WKV state, by backpropagation through time. The weights are
// frozen. Owns the tape and all scratch: memory is bounded by one window (plus kHeadRows rows of
// logits). One per running computation; not shared between threads. float for training, double for
// checking; both give the same bits for the same calls in the same build.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "kernels/gradients/dense_model.h"

namespace skein::gradients {

inline constexpr std::uint32_t kHeadRows = 64;  // tokens whose logits exist at one time

template <class Real>
class Window {
 public:
  // `model` outlives it and is complete: shapes are CHECKed.
  explicit Window(const DenseModel<Real>& model);
  ~Window();
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;

  // Feeds `inputs` from the given initial states (layers, heads, head_size, head_size; row = value
  // index, column = key index) and zero token shift; returns the sum over positions of
  // -log p(targets[t]). Ids are below vocab; as many targets as inputs, at least one.
  double loss(std::span<const std::uint32_t> inputs, std::span<const std::uint32_t> targets,
              std::span<const Real> states);
  // The same, and d(sum)/d(states) into `gradient`. `embedding_gradient`, unless empty: d(sum) by
  // each input's embedding after LN0, (inputs, width).
  double loss_and_gradient(std::span<const std::uint32_t> inputs,
                           std::span<const std::uint32_t> targets, std::span<const Real> states,
                           std::span<Real> gradient, std::span<Real> embedding_gradient = {});
  // Logits after every input, (inputs, vocab): for checking against the model that serves.
  void logits(std::span<const std::uint32_t> inputs, std::span<const Real> states,
              std::span<Real> out);

 private:
  struct Tape;
  std::unique_ptr<Tape> tape_;
};

extern template class Window<float>;
extern template class Window<double>;

}  // namespace skein::gradients
