#include "common/convert/convert.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "common/crypto/sha256.h"
#include "kernels/ops/neurons.h"
#include "tests/common/convert/tiny_checkpoint.h"
#include "tests/support/shared_file.h"

namespace skein {
namespace {

using test::checkpoint_bytes;
using test::official_bytes;
using test::TinyCheckpoint;
using test::TinyShapes;

std::unique_ptr<MemoryArtifact> converted(const Checkpoint& checkpoint,
                                          const ConvertOptions& options = {}) {
  auto artifact = convert(checkpoint, options);
  EXPECT_TRUE(artifact) << to_string(artifact.error());
  return artifact ? std::move(*artifact) : nullptr;
}

void expect_lossless(const Checkpoint& checkpoint, PageSource& artifact) {
  const Manifest& manifest = artifact.manifest();
  ASSERT_EQ(manifest.tensors.size(), checkpoint.tensors.size());
  for (const CheckpointTensor& tensor : checkpoint.tensors) {
    const TensorEntry* entry = find_tensor(manifest, tensor.name);
    ASSERT_NE(entry, nullptr) << tensor.name;
    EXPECT_EQ(entry->shape, tensor.shape) << tensor.name;
    EXPECT_EQ(entry->format, tensor.format) << tensor.name;
    EXPECT_TRUE(std::ranges::equal(checkpoint_bytes(artifact, *entry), official_bytes(tensor)))
        << tensor.name;
  }
}

// The manifest's own checks, and what only the pages can tell.
void expect_valid(MemoryArtifact& artifact) {
  const auto decoded = decode_manifest(encode_manifest(artifact.manifest()));
  ASSERT_TRUE(decoded) << to_string(decoded.error());
  EXPECT_EQ(*decoded, artifact.manifest());
  for (std::uint32_t i = 0; i < decoded->pages.size(); ++i) {
    const ByteView page = artifact.page_bytes(PageIndex(i));
    EXPECT_EQ(page.size(), decoded->pages[i].bytes);
    EXPECT_EQ(sha256(page), decoded->pages[i].digest);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(page.data()) % kSegmentAlignment, 0U);
  }
}

class Lossless : public testing::TestWithParam<Format> {};

TEST_P(Lossless, EveryBitOfOddShapesSurvives) {
  const TinyCheckpoint tiny({.format = GetParam()});
  const auto artifact = converted(tiny.checkpoint);
  expect_valid(*artifact);
  expect_lossless(tiny.checkpoint, *artifact);
}

TEST_P(Lossless, EveryBitSurvivesWhereMatricesAreCutIntoPages) {
  const TinyCheckpoint tiny({.layers = 1,
                             .heads = 5,
                             .head_size = 64,
                             .ffn = 1111,
                             .vocab = 1003,
                             .rank = 33,
                             .format = GetParam()});
  const auto artifact = converted(tiny.checkpoint);
  expect_valid(*artifact);
  expect_lossless(tiny.checkpoint, *artifact);
  EXPECT_GT(find_tensor(artifact->manifest(), "head.weight")->segments.size(), 3U);
}

INSTANTIATE_TEST_SUITE_P(Formats, Lossless,
                         testing::Values(Format::kF32, Format::kBf16, Format::kF16),
                         [](const auto& chosen) { return std::string(name_of(chosen.param)); });

TEST(Convert, LaysTensorsOutByTheirRole) {
  const TinyCheckpoint tiny({});
  const auto artifact = converted(tiny.checkpoint);
  const auto entry = [&](const char* name) { return *find_tensor(artifact->manifest(), name); };
  EXPECT_EQ(entry("emb.weight").layout, Layout::kRows);
  EXPECT_EQ(entry("head.weight").layout, Layout::kTiles);
  EXPECT_EQ(entry("blocks.1.ffn.value.weight").layout, Layout::kRows);
  EXPECT_TRUE(entry("blocks.1.ffn.value.weight").transposed);
  EXPECT_EQ(entry("blocks.1.ffn.value.weight").rows, 100U);
  EXPECT_EQ(entry("blocks.1.att.w1").layout, Layout::kTiles);
  EXPECT_TRUE(entry("blocks.1.att.w1").transposed);
  EXPECT_EQ(entry("blocks.1.att.w1").rows, 5U);
  EXPECT_EQ(entry("blocks.1.att.w2").rows, 48U);
  EXPECT_EQ(entry("blocks.1.att.r_k").rows, 1U);
  EXPECT_EQ(entry("blocks.1.att.r_k").cols, 48U);
  EXPECT_FALSE(entry("blocks.1.att.key.weight").transposed);
}

TEST(Convert, PagesOfLargeMatricesAreNearTheTarget) {
  const TinyCheckpoint tiny(
      {.layers = 1, .heads = 8, .head_size = 64, .ffn = 2048, .vocab = 3000, .rank = 32});
  const auto artifact = converted(tiny.checkpoint);
  for (const char* name : {"emb.weight", "head.weight", "blocks.0.ffn.key.weight",
                           "blocks.0.ffn.value.weight", "blocks.0.att.output.weight"}) {
    for (const Segment& segment : find_tensor(artifact->manifest(), name)->segments) {
      EXPECT_GE(artifact->manifest().pages[segment.page].bytes, 64U * 1024) << name;
      EXPECT_LE(artifact->manifest().pages[segment.page].bytes, 192U * 1024) << name;
    }
  }
}

TEST(Convert, TheVectorsOfALayerShareAPage) {
  const TinyCheckpoint tiny({});
  const auto artifact = converted(tiny.checkpoint);
  const auto page_of = [&](const char* name) {
    return find_tensor(artifact->manifest(), name)->segments.front().page;
  };
  EXPECT_EQ(page_of("blocks.1.ln1.weight"), page_of("blocks.1.ffn.x_k"));
  EXPECT_NE(page_of("blocks.1.ln1.weight"), page_of("blocks.0.ln1.weight"));
}

TEST(Convert, TheOrderOfTheFileDoesNotMatter) {
  TinyCheckpoint tiny({});
  const auto before = converted(tiny.checkpoint);
  std::ranges::shuffle(tiny.checkpoint.tensors, std::mt19937(5));
  const auto after = converted(tiny.checkpoint);
  EXPECT_EQ(encode_manifest(before->manifest()), encode_manifest(after->manifest()));
}

TEST(Convert, EqualPagesAreStoredOnce) {
  TinyCheckpoint tiny({.layers = 1, .heads = 4, .head_size = 64, .ffn = 512});
  const std::size_t apart = converted(tiny.checkpoint)->manifest().pages.size();
  tiny.at("blocks.0.att.key.weight").data = tiny.at("blocks.0.att.value.weight").data;
  const auto artifact = converted(tiny.checkpoint);
  EXPECT_EQ(artifact->manifest().pages.size() + 2, apart);
  expect_valid(*artifact);
  expect_lossless(tiny.checkpoint, *artifact);
}

TEST(Convert, EmbedsTheVocabulary) {
  const TinyCheckpoint tiny({});
  const std::string vocabulary(300'000, 'v');
  const auto artifact = converted(
      tiny.checkpoint, {.name = "n", .version = "v1", .vocabulary = as_bytes(vocabulary)});
  expect_valid(*artifact);
  EXPECT_EQ(artifact->manifest().name, "n");
  EXPECT_EQ(artifact->manifest().tokenizer.kind, "rwkv-world");
  std::string back;
  for (const std::uint32_t page : artifact->manifest().tokenizer.pages) {
    back += as_text(artifact->page_bytes(PageIndex(page)));
  }
  EXPECT_EQ(back, vocabulary);
}

TEST(Convert, KeepsTensorsItDoesNotKnow) {
  TinyCheckpoint tiny({.format = Format::kBf16});
  tiny.add("blocks.1.att.time_state", {3, 16, 16});
  tiny.add("extra", {7});
  const auto artifact = converted(tiny.checkpoint);
  expect_valid(*artifact);
  expect_lossless(tiny.checkpoint, *artifact);
  EXPECT_EQ(find_tensor(artifact->manifest(), "blocks.1.att.time_state")->rows, 48U);
}

TEST(Convert, WithoutHashingTheBytesAreTheSame) {
  const TinyCheckpoint tiny({});
  const auto artifact = converted(tiny.checkpoint, {.hash_pages = false});
  EXPECT_TRUE(artifact->manifest().pages.front().digest.is_zero());
  expect_lossless(tiny.checkpoint, *artifact);
}

TEST(Convert, Q8QuantizesMatricesWithinHalfAStepAndKeepsVectors) {
  const TinyCheckpoint tiny({.heads = 4, .head_size = 16, .rank = 40, .finite = true});
  const auto artifact = converted(tiny.checkpoint, {.precision = Precision::kQ8});
  const auto exact = converted(tiny.checkpoint);
  expect_valid(*artifact);
  EXPECT_EQ(artifact->manifest().grid_id, "q8-g32-sym-v1");
  EXPECT_EQ(artifact->manifest().techniques, std::vector<std::string>{"q8"});
  for (const TensorEntry& entry : artifact->manifest().tensors) {
    if (is_derived(entry.name)) continue;
    const TensorEntry& original = *find_tensor(exact->manifest(), entry.name);
    if (entry.rows == 1) {
      EXPECT_EQ(entry.format, Format::kF32) << entry.name;
      continue;
    }
    EXPECT_EQ(entry.format, Format::kQ8) << entry.name;
    for (const Segment& segment : entry.segments) {
      const std::size_t count = std::size_t{segment.rows} * entry.cols;
      std::vector<float> got(count);
      std::vector<float> want(count);
      const ByteView page = artifact->page_bytes(PageIndex(segment.page));
      decode(Format::kQ8, entry.layout, segment.rows, entry.cols,
             page.subspan(segment.offset,
                          stored_bytes(Format::kQ8, entry.layout, segment.rows, entry.cols)),
             got);
      ASSERT_EQ(original.segments.size(), entry.segments.size());
      const Segment& from = original.segments.front();
      decode(Format::kF32, entry.layout, segment.rows, entry.cols,
             exact->page_bytes(PageIndex(from.page))
                 .subspan(from.offset,
                          stored_bytes(Format::kF32, entry.layout, segment.rows, entry.cols)),
             want);
      for (std::size_t i = 0; i < count; ++i) EXPECT_NEAR(got[i], want[i], 0.5F / 127) << i;
    }
  }
}

// Each matrix in the format and with the bytes that an encoder gives it, however it is cut.
TEST(Convert, AnEncoderChoosesFormatsAndMakesTheStoredBytes) {
  class Chooser final : public MatrixEncoder {
   public:
    Format format_of(std::string_view tensor) override {
      if (tensor == "head.weight") return Format::kQ5;
      return tensor.ends_with("key.weight") ? Format::kF16 : Format::kQ4;
    }
    Result<void> encode(const TensorEntry& tensor, std::span<const float> values,
                        MutableByteView out) override {
      EXPECT_EQ(values.size(), std::size_t{tensor.rows} * tensor.cols);
      EXPECT_EQ(out.size(), stored_bytes(tensor.format, tensor.layout, tensor.rows, tensor.cols));
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::byte>(i * 7 + i / 251);
      made[tensor.name] = Buffer(out.begin(), out.end());
      return {};
    }
    std::map<std::string, Buffer> made;
  } chooser;
  const TinyCheckpoint tiny(
      {.heads = 5, .head_size = 64, .ffn = 1111, .vocab = 1003, .rank = 40, .finite = true});
  const auto artifact = converted(
      tiny.checkpoint, {.encoder = &chooser, .grid_id = "mine", .techniques = {"chosen", "well"}});
  expect_valid(*artifact);
  EXPECT_EQ(artifact->manifest().grid_id, "mine");
  EXPECT_EQ(artifact->manifest().techniques, (std::vector<std::string>{"chosen", "well"}));
  for (const TensorEntry& entry : artifact->manifest().tensors) {
    if (is_derived(entry.name)) continue;
    const bool matrix = can_be_quantized(entry.name, entry.shape);
    EXPECT_EQ(entry.format, matrix ? chooser.format_of(entry.name) : Format::kF32) << entry.name;
    EXPECT_EQ(chooser.made.contains(entry.name), is_quantized(entry.format)) << entry.name;
    Buffer joined;
    for (const Segment& segment : entry.segments) {
      append(joined, artifact->page_bytes(PageIndex(segment.page))
                         .subspan(segment.offset, stored_bytes(entry.format, entry.layout,
                                                               segment.rows, entry.cols)));
    }
    if (is_quantized(entry.format)) EXPECT_EQ(joined, chooser.made[entry.name]) << entry.name;
  }
  EXPECT_GT(find_tensor(artifact->manifest(), "head.weight")->segments.size(), 1U);
}

TEST(Convert, EachQuantizedFormatHasItsOwnGrid) {
  const TinyCheckpoint tiny({.heads = 4, .head_size = 16, .rank = 40, .finite = true});
  for (const auto& [precision, format, grid] :
       {std::tuple{Precision::kQ6, Format::kQ6, "q6-g32-zero-v1"},
        {Precision::kQ5, Format::kQ5, "q5-g32-zero-v1"},
        {Precision::kQ4, Format::kQ4, "q4-g32-zero-v1"}}) {
    const auto artifact = converted(tiny.checkpoint, {.precision = precision});
    expect_valid(*artifact);
    EXPECT_EQ(artifact->manifest().grid_id, grid);
    EXPECT_EQ(artifact->manifest().techniques,
              std::vector<std::string>{std::string(name_of(format))});
    for (const TensorEntry& entry : artifact->manifest().tensors) {
      if (is_derived(entry.name)) continue;
      EXPECT_EQ(entry.format, entry.rows == 1 ? Format::kF32 : format) << entry.name;
    }
  }
}

// What a model would otherwise find by reading the whole value matrix when it opens.
TEST(Convert, BoundsOfQuantizedValueRowsComeWithThem) {
  const TinyCheckpoint tiny({.heads = 4, .head_size = 16, .rank = 40, .finite = true});
  EXPECT_EQ(find_tensor(converted(tiny.checkpoint)->manifest(), "blocks.1.ffn.value.bounds"),
            nullptr);
  for (const Precision precision : {Precision::kQ8, Precision::kQ6, Precision::kQ4}) {
    const auto artifact = converted(tiny.checkpoint, {.precision = precision});
    const TensorEntry& value = *find_tensor(artifact->manifest(), "blocks.1.ffn.value.weight");
    std::vector<RowBlock> blocks;
    for (const Segment& segment : value.segments) {
      const ByteView page = artifact->page_bytes(PageIndex(segment.page));
      blocks.push_back({page.data() + segment.offset, segment.first_row, segment.rows});
    }
    std::vector<float> expected(value.rows);
    find_row_bounds({value.format, value.layout, value.rows, value.cols, blocks}, expected);
    const TensorEntry* bounds = find_tensor(artifact->manifest(), "blocks.1.ffn.value.bounds");
    ASSERT_NE(bounds, nullptr);
    ASSERT_EQ(bounds->cols, value.rows);
    const Segment& at = bounds->segments.at(0);
    std::vector<float> stored(value.rows);
    read_row(bounds->format, bounds->cols,
             artifact->page_bytes(PageIndex(at.page)).data() + at.offset, stored);
    EXPECT_EQ(stored, expected);
  }
}

TEST(Convert, Q8KeepsThinLoras) {
  const TinyCheckpoint tiny({.rank = 31, .format = Format::kBf16, .finite = true});
  const auto artifact = converted(tiny.checkpoint, {.precision = Precision::kQ8});
  EXPECT_EQ(find_tensor(artifact->manifest(), "blocks.0.att.g1")->format, Format::kBf16);
  EXPECT_EQ(find_tensor(artifact->manifest(), "blocks.0.att.g2")->format, Format::kBf16);
}

TEST(Convert, PlainPrecisionsChangeEveryTensor) {
  const TinyCheckpoint tiny({.format = Format::kBf16});
  const auto wide = converted(tiny.checkpoint, {.precision = Precision::kF32});
  expect_valid(*wide);
  for (const TensorEntry& entry : wide->manifest().tensors) {
    EXPECT_EQ(entry.format, Format::kF32);
    const Buffer bytes = checkpoint_bytes(*wide, entry);
    const ByteView source =
        std::ranges::find(tiny.checkpoint.tensors, entry.name, &CheckpointTensor::name)->data;
    for (std::size_t i = 0; i < bytes.size() / 4; ++i) {
      ASSERT_EQ(load_le<std::uint32_t>(bytes, 4 * i),
                std::uint32_t{load_le<std::uint16_t>(source, 2 * i)} << 16);
    }
  }
}

TEST(Convert, NamesTheTensorWhoseRowsExceedAPage) {
  TinyCheckpoint tiny({});
  tiny.add("wide", {70'000});
  const auto refused = convert(tiny.checkpoint, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUnsupported);
  EXPECT_EQ(refused.error().where, "wide");
}

TEST(Convert, PthAndSafetensorsOfTheReferenceModelGiveTheSamePages) {
  const std::string path = "models/reference/skein-ref-v1";
  const auto pth_file = read_shared(path + ".pth");
  const auto st_file = read_shared(path + ".safetensors");
  if (!pth_file || !st_file) GTEST_SKIP() << needs_shared(path);
  const auto pth = read_checkpoint(*pth_file, "v1.pth");
  const auto st = read_checkpoint(*st_file, "v1.safetensors");
  ASSERT_TRUE(pth && st);
  const auto from_pth = converted(*pth);
  const auto from_st = converted(*st);
  EXPECT_EQ(from_pth->manifest(), from_st->manifest());
  expect_valid(*from_pth);
  expect_lossless(*pth, *from_pth);
  EXPECT_EQ(from_pth->manifest().config, (ModelConfig{.layers = 6,
                                                      .width = 256,
                                                      .heads = 4,
                                                      .head_size = 64,
                                                      .ffn_width = 1024,
                                                      .vocab = 8192}));
}

TEST(Convert, RwkvCppFilesConvertLosslessly) {
  for (const std::string precision : {"FP32", "FP16"}) {
    const std::string path = "models/rwkv.cpp-tiny/tiny-rwkv-7v0-834K-" + precision + ".bin";
    const auto file = read_shared(path);
    if (!file) GTEST_SKIP() << needs_shared(path);
    const auto read = read_checkpoint(*file, path);
    ASSERT_TRUE(read) << to_string(read.error());
    const auto artifact = converted(*read);
    expect_valid(*artifact);
    expect_lossless(*read, *artifact);
    EXPECT_EQ(artifact->manifest().config.layers, 12U);
    EXPECT_EQ(artifact->manifest().config.heads, 1U);
  }
}

}  // namespace
}  // namespace skein
