// MemoryPages: a PageSource whose tensors the test adds one by one, and a small random RWKV-7 model
// in it. Tests only.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "common/artifact/page_source.h"
#include "tests/support/random_floats.h"

namespace skein::test {

class MemoryPages final : public PageSource {
 public:
  struct Stored {
    Format format = Format::kF32;
    Layout layout = Layout::kRows;
    std::uint32_t rows = 1;
    std::uint32_t cols = 0;
  };

  const Manifest& manifest() const override { return manifest_; }
  Result<ByteView> page(PageIndex index) override {
    const Page& page = pages_[index.value()];
    return std::as_bytes(std::span(page.lines)).first(page.bytes);
  }

  ModelConfig& config() { return manifest_.config; }
  TensorEntry& tensor(const std::string& name) {
    for (TensorEntry& each : manifest_.tensors) {
      if (each.name == name) return each;
    }
    return manifest_.tensors.emplace_back();
  }
  void remove(const std::string& name) {
    std::erase_if(manifest_.tensors, [&](const TensorEntry& each) { return each.name == name; });
  }
  std::size_t page_count() const { return pages_.size(); }

  // Row groups of at most 48 rows, a page each.
  void add(const std::string& name, const Stored& how, std::span<const float> values) {
    TensorEntry entry;
    entry.name = name;
    entry.shape = {how.rows, how.cols};
    entry.format = how.format;
    entry.layout = how.layout;
    entry.rows = how.rows;
    entry.cols = how.cols;
    for (std::uint32_t first = 0; first < how.rows; first += 48) {
      const std::uint32_t count = std::min(48U, how.rows - first);
      const std::uint64_t size = stored_bytes(how.format, how.layout, count, how.cols);
      Page& page = pages_.emplace_back();
      page.lines.resize((size + 63) / 64);
      page.bytes = size;
      encode(how.format, how.layout, count, how.cols,
             values.subspan(std::size_t{first} * how.cols, std::size_t{count} * how.cols),
             std::as_writable_bytes(std::span(page.lines)).first(size));
      manifest_.pages.push_back({{}, static_cast<std::uint32_t>(size)});
      entry.segments.push_back({static_cast<std::uint32_t>(pages_.size() - 1), 0, first, count});
    }
    manifest_.tensors.push_back(std::move(entry));
    if (name == kHeadOrder) manifest_.format_version = 2;
  }

  void add_vocabulary(std::string_view file) {
    Page& page = pages_.emplace_back();
    page.lines.resize((file.size() + 63) / 64);
    page.bytes = file.size();
    std::memcpy(page.lines.data(), file.data(), file.size());
    manifest_.pages.push_back({{}, static_cast<std::uint32_t>(file.size())});
    manifest_.tokenizer = {
        "rwkv-world", file.size(), {static_cast<std::uint32_t>(pages_.size() - 1)}};
  }

 private:
  struct Line {
    alignas(64) std::byte bytes[64];
  };
  struct Page {
    std::vector<Line> lines;
    std::size_t bytes = 0;
  };
  Manifest manifest_;
  std::vector<Page> pages_;
};

// Random weights of the given shape; matrices in `format`, vectors f32. Of `peaked` matrices most
// weights are small, as those of trained ones: entropy coding makes them smaller.
inline MemoryPages random_model(Format format, const ModelConfig& config, std::uint64_t seed = 1,
                                bool peaked = false) {
  MemoryPages pages;
  pages.config() = config;
  const auto vector = [&](const std::string& name, float centre, float spread,
                          std::uint32_t count) {
    std::vector<float> values = random_floats(count, ++seed, spread);
    for (float& value : values) value += centre;
    pages.add(name, {.cols = count}, values);
  };
  const auto matrix = [&](const std::string& name, Layout layout, std::uint32_t rows,
                          std::uint32_t cols) {
    const float spread = 1 / std::sqrt(static_cast<float>(cols));
    std::vector<float> values = random_floats(std::size_t{rows} * cols, ++seed, spread);
    for (float& value : values) value *= peaked ? value * value / (spread * spread) : 1;
    pages.add(name, {format, layout, rows, cols}, values);
  };
  const auto norm = [&](const std::string& name) {
    vector(name + ".weight", 1, 0.1F, config.width);
    vector(name + ".bias", 0, 0.1F, config.width);
  };
  const std::uint32_t width = config.width;
  matrix("emb.weight", Layout::kRows, config.vocab, width);
  norm("blocks.0.ln0");
  for (std::uint32_t i = 0; i < config.layers; ++i) {
    const std::string block = "blocks." + std::to_string(i) + ".";
    norm(block + "ln1");
    norm(block + "ln2");
    norm(block + "att.ln_x");
    for (const char* name : {"x_r", "x_w", "x_k", "x_v", "x_a", "x_g"}) {
      vector(block + "att." + name, 0.5F, 0.2F, width);
    }
    for (const char* name : {"k_k", "k_a", "r_k", "w0", "a0", "v0"}) {
      vector(block + "att." + name, 0, 1, width);
    }
    for (const char* name : {"w", "a", "v", "g"}) {
      matrix(block + "att." + name + "1", Layout::kTiles, 20, width);
      matrix(block + "att." + name + "2", Layout::kTiles, width, 20);
    }
    for (const char* name : {"receptance", "key", "value", "output"}) {
      matrix(block + "att." + name + ".weight", Layout::kTiles, width, width);
    }
    vector(block + "ffn.x_k", 0.5F, 0.2F, width);
    matrix(block + "ffn.key.weight", Layout::kTiles, config.ffn_width, width);
    matrix(block + "ffn.value.weight", Layout::kRows, config.ffn_width, width);
  }
  norm("ln_out");
  matrix("head.weight", Layout::kTiles, config.vocab, width);
  return pages;
}

// Two layers, width 128.
inline ModelConfig small_config() {
  return {.layers = 2, .width = 128, .heads = 2, .head_size = 64, .ffn_width = 300, .vocab = 99};
}

}  // namespace skein::test
