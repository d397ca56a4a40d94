// A random model whose head has a screen, made by hand. Tests only.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "tests/support/memory_pages.h"

namespace skein::test {

// Rows as they are multiplied.
inline std::vector<float> values_of(MemoryPages& pages, const std::string& name) {
  const TensorEntry& tensor = pages.tensor(name);
  std::vector<float> values(std::size_t{tensor.rows} * tensor.cols);
  for (const Segment& segment : tensor.segments) {
    const ByteView page = *pages.page(PageIndex(segment.page));
    const auto bytes = stored_bytes(tensor.format, tensor.layout, segment.rows, tensor.cols);
    decode(tensor.format, tensor.layout, segment.rows, tensor.cols, page.first(bytes),
           std::span(values).subspan(std::size_t{segment.first_row} * tensor.cols,
                                     std::size_t{segment.rows} * tensor.cols));
  }
  return values;
}

// |B r|, |r| and max(|w|, |s|) in double.
inline void add_bounds(MemoryPages& pages, std::span<const float> rows,
                       std::span<const float> basis, std::span<const float> sketch) {
  const std::uint32_t vocab = pages.config().vocab, width = pages.config().width;
  const std::size_t rank = basis.size() / width;
  std::vector<float> inside(vocab);
  std::vector<float> beyond(vocab);
  std::vector<float> sizes(vocab);
  const auto up = [](double value) {
    return std::nextafter(static_cast<float>(value), std::numeric_limits<float>::infinity());
  };
  for (std::size_t v = 0; v < vocab; ++v) {
    std::vector<double> missed(width);
    double row = 0;
    double told = 0;
    for (std::size_t i = 0; i < width; ++i) {
      missed[i] = double{rows[v * width + i]};
      row += missed[i] * missed[i];
      for (std::size_t j = 0; j < rank; ++j) {
        missed[i] -= double{sketch[v * rank + j]} * basis[j * width + i];
      }
    }
    double in = 0;
    double out = 0;
    for (std::size_t j = 0; j < rank; ++j) {
      double along = 0;
      for (std::size_t i = 0; i < width; ++i) along += missed[i] * basis[j * width + i];
      in += along * along;
      told += double{sketch[v * rank + j]} * sketch[v * rank + j];
    }
    for (const double value : missed) out += value * value;
    inside[v] = up(std::sqrt(in));
    beyond[v] = up(double{up(std::sqrt(out))});  // unlike inside: no page comes twice
    sizes[v] = up(std::sqrt(std::max(row, told)));
  }
  pages.add("head.screen.inside", {.cols = vocab}, inside);
  pages.add("head.screen.beyond", {.cols = vocab}, beyond);
  pages.add("head.screen.sizes", {.cols = vocab}, sizes);
}

struct ScreenForm {
  Format head, sketch;
  std::uint32_t rank;
  bool orthonormal = true;
  float beyond = 1;  // of the rows, what is not in the basis' directions (orthonormal ones)
};

// A random head whose rows lie near few directions, many of them alike; and a screen for it.
inline MemoryPages screened_model(const ScreenForm& form, const ModelConfig& config,
                                  std::uint64_t seed) {
  const std::uint32_t vocab = config.vocab, width = config.width;
  MemoryPages pages = random_model(form.head, config, seed);
  std::vector<float> rows = random_floats(std::size_t{vocab} * width, seed + 7, 0.1F);
  for (std::size_t v = 0; v < vocab; ++v) {
    const std::size_t like = v % 5 == 0 ? v / 2 : v;  // equal rows: equal logits
    for (std::size_t i = 0; i < width; ++i) rows[v * width + i] = rows[like * width + i];
  }
  if (form.orthonormal) {
    std::vector<float> scale(width, form.beyond);
    for (std::size_t j = 0; j < form.rank; ++j) scale[(j * 3) % width] = 1;
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] *= scale[i % width];
  }
  pages.remove("head.weight");
  pages.add("head.weight", {form.head, Layout::kTiles, vocab, width}, rows);
  rows = values_of(pages, "head.weight");
  // The first directions are unit vectors, or any that are short enough.
  std::vector<float> basis = random_floats(form.rank * width, seed + 3, 0.03F);
  if (form.orthonormal) {
    std::ranges::fill(basis, 0.0F);
    for (std::size_t j = 0; j < form.rank; ++j) basis[j * width + (j * 3) % width] = 1;
  }
  std::vector<float> sketch(std::size_t{vocab} * form.rank);
  for (std::size_t v = 0; v < vocab; ++v) {
    for (std::size_t j = 0; j < form.rank; ++j) {
      for (std::size_t i = 0; i < width; ++i) {
        sketch[v * form.rank + j] += rows[v * width + i] * basis[j * width + i];
      }
    }
  }
  pages.add("head.screen.sketch", {form.sketch, Layout::kTiles, vocab, form.rank}, sketch);
  sketch = values_of(pages, "head.screen.sketch");
  pages.add("head.screen.basis", {.rows = form.rank, .cols = width}, basis);
  add_bounds(pages, rows, basis, sketch);
  return pages;
}

}  // namespace skein::test
