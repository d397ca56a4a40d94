// An RWKV-7 checkpoint in memory with random bits (every pattern but NaN and infinity), of any
// shapes; and the way back from an artifact to a checkpoint tensor's bytes.
#pragma once

#include <deque>
#include <random>
#include <string>
#include <vector>

#include "common/convert/convert.h"

namespace skein::test {

struct TinyShapes {
  std::uint32_t layers = 2;
  std::uint32_t heads = 3;
  std::uint32_t head_size = 16;
  std::uint32_t ffn = 100;
  std::uint32_t vocab = 77;
  std::uint32_t rank = 5;
  Format format = Format::kF32;
  bool finite = false;  // small normal values instead of random bits
};

// Owns the bytes that its checkpoint views.
class TinyCheckpoint {
 public:
  explicit TinyCheckpoint(const TinyShapes& shapes, std::uint64_t seed = 1)
      : shapes_(shapes), random_(seed) {
    const std::uint32_t d = shapes.heads * shapes.head_size;
    add("emb.weight", {shapes.vocab, d});
    for (std::uint32_t layer = 0; layer < shapes.layers; ++layer) add_layer(layer, d);
    add("ln_out.weight", {d});
    add("ln_out.bias", {d});
    add("head.weight", {shapes.vocab, d});
  }
  TinyCheckpoint(const TinyCheckpoint&) = delete;
  TinyCheckpoint& operator=(const TinyCheckpoint&) = delete;

  void add(const std::string& name, std::vector<std::uint32_t> shape) {
    std::size_t count = 1;
    for (const std::uint32_t dimension : shape) count *= dimension;
    Buffer& data = bytes_.emplace_back();
    for (std::size_t i = 0; i < count; ++i) append_element(data);
    checkpoint.tensors.push_back(
        {.name = name, .shape = std::move(shape), .format = shapes_.format, .data = data});
  }
  void drop(const std::string& name) {
    std::erase_if(checkpoint.tensors, [&](const auto& tensor) { return tensor.name == name; });
  }
  CheckpointTensor& at(const std::string& name) {
    for (CheckpointTensor& tensor : checkpoint.tensors) {
      if (tensor.name == name) return tensor;
    }
    CHECK(false);
  }

  Checkpoint checkpoint;

 private:
  void append_element(Buffer& data) {
    if (shapes_.finite) return append_small(data);
    auto bits = static_cast<std::uint32_t>(random_());
    const std::uint32_t exponent = shapes_.format == Format::kF32   ? 0x7F800000U
                                   : shapes_.format == Format::kF16 ? 0x7C00U
                                                                    : 0x7F80U;
    if ((bits & exponent) == exponent) bits &= ~exponent;
    if (shapes_.format == Format::kF32) return append_le(data, bits);
    append_le(data, static_cast<std::uint16_t>(bits));
  }
  void append_small(Buffer& data) {
    const float value = std::normal_distribution<float>(0, 0.1F)(random_);
    if (shapes_.format == Format::kF32) return append_le(data, value);
    append_le(data, shapes_.format == Format::kF16 ? narrow_f16(value) : narrow_bf16(value));
  }

  void add_layer(std::uint32_t layer, std::uint32_t d) {
    const std::string at = "blocks." + std::to_string(layer) + ".";
    if (layer == 0) {
      add(at + "ln0.weight", {d});
      add(at + "ln0.bias", {d});
    }
    for (const char* name :
         {"ln1.weight", "ln1.bias", "ln2.weight", "ln2.bias", "att.ln_x.weight", "att.ln_x.bias"}) {
      add(at + name, {d});
    }
    for (const char* name :
         {"x_r", "x_w", "x_k", "x_v", "x_a", "x_g", "w0", "a0", "v0", "k_k", "k_a"}) {
      add(at + "att." + name, {1, 1, d});
    }
    add(at + "att.r_k", {shapes_.heads, shapes_.head_size});
    add(at + "ffn.x_k", {1, 1, d});
    for (const char* letter : {"w", "a", "v", "g"}) {
      add(at + "att." + letter + "1", {d, shapes_.rank});
      add(at + "att." + letter + "2", {shapes_.rank, d});
    }
    for (const char* name : {"receptance", "key", "value", "output"}) {
      add(at + "att." + name + ".weight", {d, d});
    }
    add(at + "ffn.key.weight", {shapes_.ffn, d});
    add(at + "ffn.value.weight", {d, shapes_.ffn});
  }

  TinyShapes shapes_;
  std::mt19937_64 random_;
  std::deque<Buffer> bytes_;  // a deque: growing moves no buffer
};

// (rows, cols) -> (cols, rows) of elements of `size` bytes.
inline Buffer transposed(ByteView matrix, std::size_t rows, std::size_t cols, std::size_t size) {
  Buffer out(matrix.size());
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < cols; ++j) {
      std::memcpy(out.data() + (j * rows + i) * size, matrix.data() + (i * cols + j) * size, size);
    }
  }
  return out;
}

// A stored (not q8) tensor's elements as the checkpoint had them, segment by segment.
inline Buffer checkpoint_bytes(PageSource& pages, const TensorEntry& tensor) {
  const std::uint32_t size = tensor.format == Format::kF32 ? 4 : 2;
  const std::size_t row_bytes = std::size_t{tensor.cols} * size;
  Buffer rows(tensor.rows * row_bytes);
  for (const Segment& segment : tensor.segments) {
    const auto page = pages.page(PageIndex(segment.page));
    CHECK(page.has_value());
    const std::uint64_t bytes =
        stored_bytes(tensor.format, tensor.layout, segment.rows, tensor.cols);
    const ByteView stored = page->subspan(segment.offset, bytes);
    const MutableByteView out =
        std::span(rows).subspan(segment.first_row * row_bytes, segment.rows * row_bytes);
    if (tensor.layout == Layout::kTiles) {
      untile_elements(size, segment.rows, tensor.cols, stored, out);
    } else {
      std::memcpy(out.data(), stored.data(), out.size());
    }
  }
  return tensor.transposed ? transposed(rows, tensor.rows, tensor.cols, size) : rows;
}

// A plain tensor's elements in the order of its shape.
inline Buffer official_bytes(const CheckpointTensor& tensor) {
  CHECK(tensor.packing == Packing::kNone && tensor.doublings == 0);
  if (!tensor.swapped) return to_buffer(tensor.data);
  CHECK(tensor.shape.size() == 2);
  return transposed(tensor.data, tensor.shape[1], tensor.shape[0],
                    tensor.format == Format::kF32 ? 4 : 2);
}

}  // namespace skein::test
