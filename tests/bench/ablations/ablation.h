// What a table of tests/bench/ablations works with: one model, one text to calibrate on, one held
// out, and presses of it under other settings. A table is a function in a file of its own, listed
// in main.cpp. Tests only.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "coordinator/compress/press.h"

namespace skein::ablations {

struct Pressed {
  double growth = 0;  // of perplexity, share
  std::uint64_t bytes = 0;
  PressResult result;
};

class Bench {
 public:
  Bench(const Checkpoint& checkpoint, std::vector<TokenId> text, std::vector<TokenId> held_out,
        Parallel& parallel)
      : checkpoint_(checkpoint),
        text_(std::move(text)),
        held_out_(std::move(held_out)),
        parallel_(parallel) {}

  // Exits with the sentence of an error: a table with a hole is none.
  Pressed press(const std::vector<std::string>& settings,
                const std::vector<std::string>& only) const;

 private:
  const Checkpoint& checkpoint_;
  std::vector<TokenId> text_;
  std::vector<TokenId> held_out_;
  Parallel& parallel_;
};

struct Table {
  const char* name;
  void (*print)(const Bench& bench);
};
void lorap(const Bench& bench);
void numerical_pruning(const Bench& bench);
void rwkv_lite(const Bench& bench);
void residual(const Bench& bench);

}  // namespace skein::ablations
