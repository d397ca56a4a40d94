// Small models of every version with weights out of a seed, the same on every machine: the
// generator's integers and IEEE arithmetic, no libm. Tests only.
#pragma once

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "tests/support/memory_pages.h"

namespace skein::test {

// Widths with half a group of 32 over, a vocabulary and neurons that fill no tile, more neurons
// than one block holds.
struct SeededShape {
  Architecture version = Architecture::kRwkv7;
  std::uint32_t heads = 3;
  std::uint32_t head_size = 16;
  Layout value_layout = Layout::kRows;
  // Receptance (and gate) only as factors, key and output as matrix and factors; the second layer
  // has fewer neurons.
  bool factors = false;
};

class SeededModel {
 public:
  SeededModel(const SeededShape& shape, Format format)
      : shape_(shape), format_(format), width_(shape.heads * shape.head_size) {
    const bool headless = shape.version == Architecture::kRwkv4;
    pages_.config() = {.architecture = shape.version,
                       .layers = 2,
                       .width = width_,
                       .heads = headless ? 0 : shape.heads,
                       .head_size = headless ? 0 : shape.head_size,
                       .ffn_width = kNeurons,
                       .vocab = kVocab};
    matrix("emb.weight", Layout::kRows, kVocab, width_);
    norm("blocks.0.ln0");
    for (std::uint32_t layer = 0; layer < 2; ++layer) add_layer(layer);
    norm("ln_out");
    matrix("head.weight", Layout::kTiles, kVocab, width_);
  }

  MemoryPages& pages() { return pages_; }

  static constexpr std::uint32_t kVocab = 75;

 private:
  static constexpr std::uint32_t kNeurons = 268;
  static constexpr std::uint32_t kFewNeurons = 250;
  static constexpr std::uint32_t kRank = 10;
  static constexpr std::uint32_t kFactorRank = 35;

  // Even between -1 and 1.
  float next() {
    const auto drawn = static_cast<std::int32_t>(source_() >> 40);
    return static_cast<float>(drawn - (1 << 23)) * 0x1p-23F;
  }
  std::vector<float> values(std::size_t count, float centre, float spread) {
    std::vector<float> drawn(count);
    for (float& value : drawn) value = centre + spread * next();
    return drawn;
  }
  void vector(const std::string& name, float centre, float spread, std::uint32_t count = 0) {
    if (count == 0) count = width_;
    pages_.add(name, {.cols = count}, values(count, centre, spread));
  }
  void matrix(const std::string& name, Layout layout, std::uint32_t rows, std::uint32_t cols) {
    const float spread = 1.75F / std::sqrt(static_cast<float>(cols));
    pages_.add(name, {format_, layout, rows, cols}, values(std::size_t{rows} * cols, 0, spread));
  }
  void tiles(const std::string& name, std::uint32_t rows, std::uint32_t cols) {
    matrix(name, Layout::kTiles, rows, cols);
  }
  void square(const std::string& name) {
    const bool only = name.ends_with("receptance.weight") || name.ends_with("gate.weight");
    const bool too = name.ends_with("key.weight") || name.ends_with("output.weight");
    if (!shape_.factors || !only) tiles(name, width_, width_);
    if (!shape_.factors || !(only || too)) return;
    tiles(name + std::string(kRightFactor), kFactorRank, width_);
    tiles(name + std::string(kLeftFactor), width_, kFactorRank);
  }
  void norm(const std::string& name) {
    vector(name + ".weight", 1, 0.2F);
    vector(name + ".bias", 0, 0.2F);
  }

  void add_layer(std::uint32_t layer) {
    const std::string block = "blocks." + std::to_string(layer) + ".";
    const std::string att = block + "att.";
    norm(block + "ln1");
    norm(block + "ln2");
    for (const char* name : {"receptance", "key", "value", "output"}) {
      square(att + name + ".weight");
    }
    if (shape_.version != Architecture::kRwkv4) norm(att + "ln_x");
    if (shape_.version == Architecture::kRwkv7) {
      add_time_mix_7(att);
    } else if (shape_.version == Architecture::kRwkv6) {
      add_time_mix_6(att);
    } else {
      add_time_mix_4_or_5(att);
    }
    add_channel_mix(block + "ffn.", layer == 1 && shape_.factors ? kFewNeurons : kNeurons);
  }

  void add_time_mix_4_or_5(const std::string& att) {
    for (const char* name : {"r", "k", "v"}) vector(att + "time_mix_" + name, 0.5F, 0.5F);
    const bool by_head = shape_.version == Architecture::kRwkv5_1;
    const bool bonus_is_faaaa = shape_.version == Architecture::kRwkv5_2;
    const std::uint32_t count = by_head ? shape_.heads : width_;
    vector(att + "time_decay", -1, 2, count);
    vector(att + (bonus_is_faaaa ? "time_faaaa" : "time_first"), 0, 1, count);
    if (shape_.version != Architecture::kRwkv5_2) return;  // 5.1 may go without a gate
    vector(att + "time_mix_g", 0.5F, 0.5F);
    square(att + "gate.weight");
  }

  void add_time_mix_6(const std::string& att) {
    for (const char* name : {"x", "w", "k", "v", "r", "g"}) {
      vector(att + "time_maa_" + name, 0.5F, 0.5F);
    }
    tiles(att + "time_maa_w1", 5 * kRank, width_);
    matrix(att + "time_maa_w2", Layout::kRows, 5 * kRank, width_);
    tiles(att + "time_decay_w1", kRank, width_);
    tiles(att + "time_decay_w2", width_, kRank);
    vector(att + "time_decay", -1, 2);
    vector(att + "time_faaaa", 0, 1);
    tiles(att + "gate.weight", width_, width_);
  }

  void add_time_mix_7(const std::string& att) {
    for (const char* name : {"x_r", "x_w", "x_k", "x_v", "x_a", "x_g"}) {
      vector(att + name, 0.5F, 0.5F);
    }
    for (const char* name : {"k_k", "k_a", "r_k", "w0", "a0", "v0"}) vector(att + name, 0, 1);
    for (const char* name : {"w", "a", "v", "g"}) {
      tiles(att + name + "1", kRank, width_);
      tiles(att + name + "2", width_, kRank);
    }
  }

  void add_channel_mix(const std::string& ffn, std::uint32_t neurons) {
    const bool is_7 = shape_.version == Architecture::kRwkv7;
    const char* const mixes = is_7                                     ? "x_"
                              : shape_.version == Architecture::kRwkv6 ? "time_maa_"
                                                                       : "time_mix_";
    vector(ffn + mixes + "k", 0.5F, 0.5F);
    if (!is_7) {
      vector(ffn + mixes + "r", 0.5F, 0.5F);
      tiles(ffn + "receptance.weight", width_, width_);
    }
    tiles(ffn + "key.weight", neurons, width_);
    if (shape_.value_layout == Layout::kTiles) {
      tiles(ffn + "value.weight", width_, neurons);
    } else {
      matrix(ffn + "value.weight", Layout::kRows, neurons, width_);
    }
  }

  SeededShape shape_;
  Format format_;
  std::uint32_t width_;
  std::mt19937_64 source_{7};
  MemoryPages pages_;
};

}  // namespace skein::test
