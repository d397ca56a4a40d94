// What a table of tests/bench/ablations works with: one model, one text to calibrate on, one held
// out, and presses of it under other settings. A table is a function in a file of its own, listed
// in main.cpp. Tests only.
#pragma once

#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/compress/press.h"

namespace skein::ablations {

struct Pressed {
  double growth = 0;  // of perplexity, share
  std::uint64_t bytes = 0;
  PressResult result;
};

struct Choice {
  const char* name;
  std::vector<std::string> settings;
};

struct Grid {
  const char* title;
  const char* corner;
  std::vector<Choice> rows;
  std::vector<Choice> columns;
  std::vector<std::string> only;  // techniques
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
  // A table: what each row's settings and each column's cost together, as `press` measures it.
  void print(const Grid& grid) const;

 private:
  const Checkpoint& checkpoint_;
  std::vector<TokenId> text_;
  std::vector<TokenId> held_out_;
  Parallel& parallel_;
  mutable std::optional<double> perplexity_before_;
};

struct Table {
  const char* name;
  void (*print)(const Bench& bench);
};
void activation_sparsity(const Bench& bench);
void channel_scales(const Bench& bench);
void double_compression(const Bench& bench);
void lorap(const Bench& bench);
void numerical_pruning(const Bench& bench);
void rwkv_lite(const Bench& bench);
void residual(const Bench& bench);

}  // namespace skein::ablations
