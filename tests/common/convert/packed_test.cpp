// Tensors that lie packed, transposed or halved in their file, and weights that are no numbers.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/common/convert/tiny_checkpoint.h"

namespace skein {
namespace {

using test::TinyCheckpoint;

// 64 wide, so that every matrix has whole blocks of 32 along both directions.
constexpr test::TinyShapes kShapes = {
    .layers = 1, .heads = 1, .head_size = 64, .ffn = 96, .vocab = 64, .rank = 32, .finite = true};

// Random blocks in place of a tensor's elements: any codes but -128, scales of some size.
class Packed {
 public:
  explicit Packed(std::uint64_t seed = 1) : tiny(kShapes, seed), random_(seed) {}

  CheckpointTensor& pack(const std::string& name, Packing packing) {
    CheckpointTensor& tensor = tiny.at(name);
    std::size_t elements = 1;
    for (const std::uint32_t size : tensor.shape) elements *= size;
    const BlockSize size = block_size(packing);
    Buffer& blocks = storage_.emplace_back(elements / size.elements * size.bytes);
    for (std::byte& byte : blocks) {
      byte = static_cast<std::byte>(random_());
      if (byte == std::byte{0x80}) byte = std::byte{0};
    }
    for (std::size_t at = 0; at < blocks.size(); at += size.bytes) {
      store_le(MutableByteView(blocks), at, small_f16());
      if (!has_codes(packing)) store_le(MutableByteView(blocks), at + 2, small_f16());
    }
    tensor.format = Format::kF32;
    tensor.packing = packing;
    tensor.data = blocks;
    return tensor;
  }
  MutableByteView last_blocks() { return storage_.back(); }

  TinyCheckpoint tiny;

 private:
  std::uint16_t small_f16() {
    const float value = 0.001F * static_cast<float>(1 + random_() % 10);
    return narrow_f16(random_() % 2 != 0 ? value : -value);
  }

  std::mt19937_64 random_;
  std::deque<Buffer> storage_;
};

std::unique_ptr<MemoryArtifact> converted(const Checkpoint& checkpoint,
                                          Precision precision = Precision::kKeep) {
  auto artifact = convert(checkpoint, {.precision = precision});
  EXPECT_TRUE(artifact) << to_string(artifact.error());
  return artifact ? std::move(*artifact) : nullptr;
}

// A tensor's weights out of an artifact, in the order of its official shape.
std::vector<float> weights_in(MemoryArtifact& artifact, const std::string& name) {
  const TensorEntry& entry = *find_tensor(artifact.manifest(), name);
  std::vector<float> stored;
  for (const Segment& segment : entry.segments) {
    std::vector<float> rows(std::size_t{segment.rows} * entry.cols);
    const std::uint64_t bytes = stored_bytes(entry.format, entry.layout, segment.rows, entry.cols);
    decode(entry.format, entry.layout, segment.rows, entry.cols,
           artifact.page_bytes(PageIndex(segment.page)).subspan(segment.offset, bytes), rows);
    stored.insert(stored.end(), rows.begin(), rows.end());
  }
  if (!entry.transposed) return stored;
  std::vector<float> out(stored.size());
  for (std::size_t i = 0; i < entry.rows; ++i) {
    for (std::size_t j = 0; j < entry.cols; ++j) {
      out[j * entry.rows + i] = stored[i * entry.cols + j];
    }
  }
  return out;
}

// What the file says, in the order of the official shape.
std::vector<float> weights_of(const CheckpointTensor& tensor) {
  std::size_t elements = 1;
  for (const std::uint32_t size : tensor.shape) elements *= size;
  std::vector<float> data(elements);
  read_elements(tensor, 0, data);
  if (!tensor.swapped) return data;
  const std::size_t rows = tensor.shape[tensor.shape.size() - 2];
  const std::size_t cols = tensor.shape.back();
  std::vector<float> out(elements);
  for (std::size_t at = 0; at < elements; ++at) {
    const std::size_t inside = at % (rows * cols);
    out[at - inside + inside % rows * cols + inside / rows] = data[at];
  }
  return out;
}

constexpr Packing kOfThirtyTwo[] = {Packing::kQ4_0, Packing::kQ4_1, Packing::kQ5_0, Packing::kQ5_1,
                                    Packing::kQ8_0};

TEST(PackedTensors, KeepTheirExactWeightsAndBecomeQ8WhereItHoldsThem) {
  for (const Packing packing : kOfThirtyTwo) {
    for (const char* name : {"emb.weight", "blocks.0.att.key.weight", "blocks.0.ffn.value.weight",
                             "blocks.0.att.g1"}) {
      Packed given;
      const CheckpointTensor& tensor = given.pack(name, packing);
      const auto artifact = converted(given.tiny.checkpoint);
      const TensorEntry& entry = *find_tensor(artifact->manifest(), name);
      const bool eight_or_four = packing == Packing::kQ8_0 || packing == Packing::kQ4_0;
      const bool kept = eight_or_four && !entry.transposed;
      EXPECT_EQ(entry.format, kept ? Format::kQ8 : Format::kF32) << name << name_of(packing);
      EXPECT_EQ(weights_in(*artifact, name), weights_of(tensor)) << name << name_of(packing);
    }
  }
}

TEST(PackedTensors, ThatLieTransposedAsTheyAreStoredBecomeQ8) {
  Packed given;
  CheckpointTensor& lora = given.pack("blocks.0.att.w1", Packing::kQ4_0);
  lora.swapped = true;
  CheckpointTensor& square = given.pack("blocks.0.att.key.weight", Packing::kQ4_0);
  square.swapped = true;
  const auto artifact = converted(given.tiny.checkpoint);
  const auto format_of = [&](const char* name) {
    return find_tensor(artifact->manifest(), name)->format;
  };
  EXPECT_EQ(format_of("blocks.0.att.w1"), Format::kQ8);
  EXPECT_EQ(format_of("blocks.0.att.key.weight"), Format::kF32);
  EXPECT_EQ(weights_in(*artifact, lora.name), weights_of(lora));
  EXPECT_EQ(weights_in(*artifact, square.name), weights_of(square));
}

TEST(PackedTensors, ACodeOf128BelowZeroIsNoneOfQ8s) {
  Packed given;
  const CheckpointTensor& tensor = given.pack("head.weight", Packing::kQ8_0);
  EXPECT_EQ(find_tensor(converted(given.tiny.checkpoint)->manifest(), "head.weight")->format,
            Format::kQ8);
  given.last_blocks().back() = std::byte{0x80};
  const auto artifact = converted(given.tiny.checkpoint);
  EXPECT_EQ(find_tensor(artifact->manifest(), "head.weight")->format, Format::kF32);
  EXPECT_EQ(weights_in(*artifact, "head.weight"), weights_of(tensor));
}

TEST(PackedTensors, HalvedOnesAreDoubledInTheirScales) {
  for (const Packing packing : {Packing::kQ8_0, Packing::kQ4_1}) {
    Packed given;
    CheckpointTensor& tensor = given.pack("blocks.0.att.output.weight", packing);
    tensor.doublings = 3;
    const auto artifact = converted(given.tiny.checkpoint);
    EXPECT_EQ(weights_in(*artifact, tensor.name), weights_of(tensor));
  }
  Packed given;  // scales that f16 cannot hold doubled
  CheckpointTensor& tensor = given.pack("blocks.0.att.output.weight", Packing::kQ8_0);
  tensor.doublings = 40;
  const auto artifact = converted(given.tiny.checkpoint);
  EXPECT_EQ(find_tensor(artifact->manifest(), tensor.name)->format, Format::kF32);
  EXPECT_EQ(weights_in(*artifact, tensor.name), weights_of(tensor));
}

TEST(PackedTensors, OtherPrecisionsGoThroughTheirFloats) {
  Packed given;
  const CheckpointTensor& tensor = given.pack("blocks.0.ffn.value.weight", Packing::kQ4_1);
  const std::vector<float> exact = weights_of(tensor);
  EXPECT_EQ(weights_in(*converted(given.tiny.checkpoint, Precision::kF32), tensor.name), exact);
  const auto half = weights_in(*converted(given.tiny.checkpoint, Precision::kF16), tensor.name);
  const auto q8 = weights_in(*converted(given.tiny.checkpoint, Precision::kQ8), tensor.name);
  for (std::size_t i = 0; i < exact.size(); ++i) {
    EXPECT_EQ(half[i], widen_f16(narrow_f16(exact[i])));
    EXPECT_NEAR(q8[i], exact[i], 0.02);
  }
}

TEST(PackedTensors, PlainTransposedOnesGiveTheSamePagesAsOfficialOnes) {
  TinyCheckpoint tiny({.layers = 1, .heads = 5, .ffn = 300, .vocab = 50, .rank = 33});
  const auto before = converted(tiny.checkpoint);
  std::deque<Buffer> turned;
  for (const char* name : {"blocks.0.att.w1", "blocks.0.att.g2", "blocks.0.ffn.value.weight",
                           "blocks.0.att.key.weight"}) {
    CheckpointTensor& tensor = tiny.at(name);
    turned.push_back(test::transposed(tensor.data, tensor.shape[0], tensor.shape[1], 4));
    tensor.data = turned.back();
    tensor.swapped = true;
  }
  EXPECT_EQ(encode_manifest(converted(tiny.checkpoint)->manifest()),
            encode_manifest(before->manifest()));
}

TEST(PackedTensors, AStackThatLiesTransposedIsTurned) {
  TinyCheckpoint tiny(kShapes);
  tiny.add("blocks.0.att.time_maa_w2", {5, 40, 64});
  CheckpointTensor& stack = tiny.at("blocks.0.att.time_maa_w2");
  stack.swapped = true;
  for (const Precision precision : {Precision::kKeep, Precision::kBf16}) {
    const auto artifact = converted(tiny.checkpoint, precision);
    std::vector<float> expected = weights_of(stack);
    if (precision == Precision::kBf16) {
      for (float& value : expected) value = widen_bf16(narrow_bf16(value));
    }
    EXPECT_EQ(weights_in(*artifact, stack.name), expected);
  }
}

std::string sentence(const Checkpoint& checkpoint, Precision precision = Precision::kKeep) {
  const auto artifact = convert(checkpoint, {.precision = precision});
  return artifact ? "converted" : to_string(artifact.error());
}

TEST(WeightsThatAreNoNumbers, AreRefusedWithTheirTensorInEveryFormat) {
  for (const Format format : {Format::kF32, Format::kBf16, Format::kF16}) {
    for (const float wrong : {std::nanf(""), std::numeric_limits<float>::infinity(),
                              -std::numeric_limits<float>::infinity()}) {
      for (const char* name : {"blocks.0.ln1.weight", "blocks.0.att.w2", "head.weight"}) {
        TinyCheckpoint tiny({.format = format});
        CheckpointTensor& tensor = tiny.at(name);
        Buffer bytes = to_buffer(tensor.data);
        Buffer element;
        if (format == Format::kF32) append_le(element, wrong);
        if (format == Format::kF16) append_le(element, narrow_f16(wrong));
        if (format == Format::kBf16) append_le(element, narrow_bf16(wrong));
        std::ranges::copy(element, bytes.end() - static_cast<std::ptrdiff_t>(element.size()));
        tensor.data = bytes;
        for (const Precision precision : {Precision::kKeep, Precision::kF32, Precision::kQ8}) {
          EXPECT_EQ(sentence(tiny.checkpoint, precision),
                    "a weight is NaN or infinite (" + std::string(name) +
                        "): the file is damaged or its training diverged; use another checkpoint");
        }
      }
    }
  }
}

TEST(WeightsThatAreNoNumbers, AreRefusedInBlocksToo) {
  for (const Packing packing : kOfThirtyTwo) {
    Packed given;
    given.pack("blocks.0.att.key.weight", packing);
    store_le(given.last_blocks(), 3 * block_size(packing).bytes, std::uint16_t{0x7C00});
    for (const Precision precision : {Precision::kKeep, Precision::kF32, Precision::kQ4}) {
      EXPECT_NE(sentence(given.tiny.checkpoint, precision)
                    .find("a weight is NaN or infinite (blocks.0.att.key.weight)"),
                std::string::npos)
          << name_of(packing);
    }
  }
}

TEST(WeightsThatAreNoNumbers, AreNotMadeByLosingBits) {
  TinyCheckpoint tiny(kShapes);
  CheckpointTensor& tensor = tiny.at("blocks.0.ln1.weight");
  Buffer bytes = to_buffer(tensor.data);
  store_le(MutableByteView(bytes), 0, 70000.0F);
  tensor.data = bytes;
  EXPECT_EQ(sentence(tiny.checkpoint), "converted");
  EXPECT_EQ(sentence(tiny.checkpoint, Precision::kF16),
            "a weight is too large for f16 (blocks.0.ln1.weight): choose f32");
}

}  // namespace
}  // namespace skein
