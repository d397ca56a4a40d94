// Trainer: state tuning: moves the initial WKV state of every layer, and nothing else, so that the
// model predicts a given text better. Three passes over the text: loss before, training (Adam,
// gradient clipped by its global norm), loss after. One window at a time, so that each can be a job
// of its own and training can stop in between. Pure: the same inputs give the same bits in the same
// build. One thread at a time; holds the model's weights as floats.
#pragma once

#include <memory>
#include <vector>

#include "common/model/model.h"
#include "edge_node/learn/privacy_filter.h"

namespace skein {

struct TrainerOptions {
  float learning_rate = 0.02F;  // falls linearly to a tenth of it over the training
  std::uint32_t epochs = 1;
  std::uint32_t context = 64;  // tokens per window, as in Evaluation
  float clip = 1;              // global norm of a window's mean gradient
};

class Trainer {
 public:
  // `model` may go afterwards. ids: at least one, below vocab; context >= 1, epochs >= 1. Errors
  // are those of pages that cannot be read.
  static Result<std::unique_ptr<Trainer>> make(const Model& model, std::vector<TokenId> ids,
                                               const TrainerOptions& options);
  // What training takes beside the model, at most, in bytes; of texts apart.
  static std::uint64_t memory(const Manifest& manifest, std::uint32_t context);
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  bool done() const;
  void next_window();  // not when done
  std::uint64_t windows_done() const;
  std::uint64_t windows_total() const;

  // When done.
  std::uint64_t tokens() const;  // in the text
  double loss_before() const;    // nats per token
  double loss_after() const;
  RawUpdate update() const;

 private:
  struct Work;
  explicit Trainer(std::unique_ptr<Work> work);
  std::unique_ptr<Work> work_;
};

}  // namespace skein
