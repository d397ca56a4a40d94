// Logits against float64 ones made by others: tests/golden/make_golden.py, rwkv.cpp, and the
// reference model's own.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "common/env/real/real_env.h"
#include "kernels/isa/isa.h"
#include "tests/support/golden_model.h"
#include "tests/support/shared_file.h"

namespace skein {
namespace {

// A checkpoint, converted and opened. Members in order of dependence.
struct Opened {
  std::unique_ptr<MemoryArtifact> artifact;
  std::unique_ptr<Model> model;
};
Opened open(ByteView file, Precision precision) {
  Opened opened;
  const auto checkpoint = read_checkpoint(file, "test");
  EXPECT_TRUE(checkpoint) << to_string(checkpoint.error());
  const ConvertOptions options = {.precision = precision, .hash_pages = false};
  auto artifact = convert(*checkpoint, options);
  EXPECT_TRUE(artifact) << to_string(artifact.error());
  opened.artifact = std::move(*artifact);
  auto model = Model::open(*opened.artifact);
  EXPECT_TRUE(model) << to_string(model.error());
  opened.model = std::move(*model);
  return opened;
}

std::vector<TokenId> parse_ids(ByteView file) {
  std::string text(as_text(file));
  std::ranges::replace(text, ',', ' ');
  std::istringstream numbers(text);
  std::vector<TokenId> ids;
  for (TokenId id = 0; numbers >> id;) ids.push_back(id);
  return ids;
}

template <class Number>
std::vector<double> parse_logits(ByteView file) {
  std::vector<double> logits;
  for (std::size_t at = 0; at < file.size(); at += sizeof(Number)) {
    logits.push_back(static_cast<double>(load_le<Number>(file, at)));
  }
  return logits;
}

// Logits after every token, from the initial state.
std::vector<float> all_logits(const Model& model, std::span<const TokenId> tokens,
                              Parallel& parallel) {
  Runner runner(model, parallel);
  RwkvState state = model.initial_state();
  const std::size_t vocab = model.config().vocab;
  std::vector<float> logits(vocab * tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    runner.step(tokens[i], state, std::span(logits).subspan(i * vocab, vocab));
  }
  RwkvState other = model.initial_state();
  std::vector<float> in_passes(logits.size());
  const Feed feed = {tokens, &other, in_passes};
  runner.feed(std::span(&feed, 1));
  EXPECT_EQ(in_passes, logits);  // prefill is one token at a time, to the bit
  EXPECT_EQ(other, state);
  return logits;
}

// The largest difference between `expected` and the last logits.
double difference(std::span<const double> expected, std::span<const float> logits) {
  double worst = 0;
  const std::span<const float> last = logits.last(expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double gap = std::abs(expected[i] - double{last[i]});
    worst = gap <= worst ? worst : gap;  // a NaN counts
  }
  return worst;
}

TEST(Golden, FloatLogitsAreThoseOfTheFloat64Reference) {
  SerialParallel serial;
  for (const auto& [file, stem] : {std::pair{"tiny-64-f32.safetensors", "tiny-64-f32"},
                                   {"tiny-64-fp32.bin", "tiny-64-f32"},
                                   {"tiny-64-fp16.bin", "tiny-64-fp16"},
                                   {"tiny-128-bf16.safetensors", "tiny-128-bf16"}}) {
    const Opened opened = open(test::golden_file(file), Precision::kKeep);
    const auto tokens = parse_ids(test::golden_file(std::string(stem) + ".tokens"));
    const auto expected =
        parse_logits<double>(test::golden_file(std::string(stem) + ".logits.f64"));
    ASSERT_EQ(expected.size(), tokens.size() * opened.model->config().vocab);
    EXPECT_LE(difference(expected, all_logits(*opened.model, tokens, serial)), 1e-5) << file;
  }
}

constexpr const char* kOlderVersions[] = {"tiny-v4", "tiny-v5.1", "tiny-v5.2", "tiny-v6"};

TEST(Golden, OlderVersionsGiveTheLogitsOfTheFloat64Reference) {
  SerialParallel serial;
  const auto tokens = parse_ids(test::golden_file("tiny-older.tokens"));
  for (const std::string stem : kOlderVersions) {
    const auto expected = parse_logits<double>(test::golden_file(stem + ".logits.f64"));
    for (const char* kind : {".safetensors", ".bin"}) {
      const Opened opened = open(test::golden_file(stem + kind), Precision::kKeep);
      ASSERT_EQ(expected.size(), tokens.size() * opened.model->config().vocab);
      EXPECT_LE(difference(expected, all_logits(*opened.model, tokens, serial)), 2e-5)
          << stem << kind;
    }
    const Opened coarse = open(test::golden_file(stem + ".safetensors"), Precision::kQ8);
    EXPECT_LE(difference(expected, all_logits(*coarse.model, tokens, serial)), 0.4) << stem;
  }
}

// Files of other tools, and whether some of their tensors stay q8: then activations lose bits too.
struct Dialect {
  const char* file;
  const char* logits;
  bool has_codes;
};
constexpr Dialect kDialects[] = {{"mini-hf.safetensors", "mini", false},
                                 {"mini-bf16.gguf", "mini", false},
                                 {"mini-blocks.gguf", "mini-blocks-gguf", true},
                                 {"mini-blocks.bin", "mini-blocks-bin", true},
                                 {"wide-k.gguf", "wide-k", false},
                                 {"mini-v6.gguf", "mini-v6-gguf", true},
                                 {"mini-v6-blocks.bin", "mini-v6-bin", true}};

TEST(Golden, OtherDialectsGiveTheLogitsOfTheFloat64ReferenceOverTheirWeights) {
  SerialParallel serial;
  const auto tokens = parse_ids(test::golden_file("tiny-older.tokens"));
  for (const Dialect& dialect : kDialects) {
    const auto expected =
        parse_logits<double>(test::golden_file(std::string(dialect.logits) + ".logits.f64"));
    const Opened exact = open(test::golden_file(dialect.file), Precision::kF32);
    ASSERT_EQ(expected.size(), tokens.size() * exact.model->config().vocab);
    EXPECT_LE(difference(expected, all_logits(*exact.model, tokens, serial)), 1e-5) << dialect.file;
    const Opened kept = open(test::golden_file(dialect.file), Precision::kKeep);
    const double gap = difference(expected, all_logits(*kept.model, tokens, serial));
    EXPECT_LE(gap, dialect.has_codes ? 0.1 : 1e-5) << dialect.file;
  }
}

TEST(Golden, TheVocabularyOfAGgufFileIsTheWorldFilesOwn) {
  const Buffer file = test::golden_file("mini-bf16.gguf");
  const auto checkpoint = read_checkpoint(file, "test");
  ASSERT_TRUE(checkpoint) << to_string(checkpoint.error());
  const auto carried = Tokenizer::parse(checkpoint->vocabulary);
  const Buffer world = test::golden_file("mini-vocab.txt");
  const auto expected = Tokenizer::parse(as_text(world));
  ASSERT_TRUE(carried && expected);
  ASSERT_EQ((*carried)->largest_id(), (*expected)->largest_id());
  for (TokenId id = 0; id <= (*expected)->largest_id(); ++id) {
    EXPECT_EQ((*carried)->bytes_of(id), (*expected)->bytes_of(id)) << id;
  }
}

TEST(Golden, QuantizedLogitsStayNear) {
  SerialParallel serial;
  const Opened opened = open(test::golden_file("tiny-128-bf16.safetensors"), Precision::kQ8);
  const auto tokens = parse_ids(test::golden_file("tiny-128-bf16.tokens"));
  const auto expected = parse_logits<double>(test::golden_file("tiny-128-bf16.logits.f64"));
  EXPECT_LE(difference(expected, all_logits(*opened.model, tokens, serial)), 0.15);
  double before = 0.15;
  for (const Precision precision : {Precision::kQ6, Precision::kQ5, Precision::kQ4}) {
    const Opened packed = open(test::golden_file("tiny-128-bf16.safetensors"), precision);
    before *= 2.5;
    EXPECT_LE(difference(expected, all_logits(*packed.model, tokens, serial)), before);
  }
}

void expect_the_same_bits_everywhere(const std::string& stem, const std::string& ids) {
  const auto tokens = parse_ids(test::golden_file(ids));
  for (const Precision precision :
       {Precision::kKeep, Precision::kF32, Precision::kF16, Precision::kQ8, Precision::kQ6,
        Precision::kQ5, Precision::kQ4}) {
    const Opened opened = open(test::golden_file(stem + ".safetensors"), precision);
    SerialParallel serial;
    ASSERT_TRUE(select_isa("scalar"));
    const std::vector<float> expected = all_logits(*opened.model, tokens, serial);
    ASSERT_TRUE(select_isa(""));
    for (const std::size_t threads : {1U, 2U, 3U}) {
      RealEnv real({.compute_threads = threads});
      EXPECT_EQ(all_logits(*opened.model, tokens, real.env().compute.parallel()), expected)
          << stem << ", " << threads << " threads";
    }
  }
}

TEST(Golden, ThreadsAndInstructionSetsDoNotChangeABit) {
  expect_the_same_bits_everywhere("tiny-128-bf16", "tiny-128-bf16.tokens");
  for (const char* stem : kOlderVersions) {
    expect_the_same_bits_everywhere(stem, "tiny-older.tokens");
  }
}

TEST(Golden, RwkvCppsTinyModelsGiveTheirExpectedLogits) {
  const std::string folder = "models/rwkv.cpp-tiny/";
  SerialParallel serial;
  const std::vector<TokenId> tokens = {34, 105, 110};
  for (const std::string model : {"4v0-660K", "5v2-730K", "7v0-834K"}) {
    const auto file = read_shared(folder + "tiny-rwkv-" + model + "-FP32.bin");
    if (!file) GTEST_SKIP() << needs_shared(folder);
    const auto expected =
        parse_logits<float>(*read_shared(folder + "expected-logits-" + model + ".bin"));
    const Opened opened = open(*file, Precision::kKeep);
    EXPECT_LE(difference(expected, all_logits(*opened.model, tokens, serial)), 1e-4) << model;
  }
}

// The expected logits are of the float32 forms: the gap is their quantization.
TEST(Golden, RwkvCppsQuantizedModelsStayNear) {
  const std::string folder = "models/rwkv.cpp-tiny/";
  SerialParallel serial;
  const std::vector<TokenId> tokens = {34, 105, 110};
  const auto v6 = read_shared(folder + "tiny-rwkv-6v0-3m-Q5_1.bin");
  const auto v5 = read_shared(folder + "tiny-rwkv-5v2-730K-Q5_0.bin");
  if (!v6 || !v5) GTEST_SKIP() << needs_shared(folder);
  const auto expected = parse_logits<float>(*read_shared(folder + "expected-logits-6v0-3m.bin"));
  const Opened opened = open(*v6, Precision::kKeep);
  EXPECT_LE(difference(expected, all_logits(*opened.model, tokens, serial)), 0.1);

  // Codes kept as q8 are multiplied with quantized activations; the same weights as floats are not.
  const std::vector<float> floats = all_logits(*open(*v5, Precision::kF32).model, tokens, serial);
  const std::vector<double> exact(floats.begin(), floats.end());
  EXPECT_LE(difference(exact, all_logits(*open(*v5, Precision::kKeep).model, tokens, serial)),
            0.02);
}

TEST(Golden, TheReferenceModelGivesItsExpectedLogits) {
  const std::string folder = "models/reference/";
  const auto ids = read_shared(folder + "skein-ref.tokens");
  if (!ids) GTEST_SKIP() << needs_shared(folder);
  SerialParallel serial;
  for (const std::string version : {"v1", "v2"}) {
    const Opened opened =
        open(*read_shared(folder + "skein-ref-" + version + ".pth"), Precision::kKeep);
    const auto expected =
        parse_logits<double>(*read_shared(folder + "skein-ref-" + version + ".logits.f64"));
    EXPECT_LE(difference(expected, all_logits(*opened.model, parse_ids(*ids), serial)), 1e-3);
  }
}

// Mean loss, in nats, of predicting each token of `ids` after the ones before it.
double mean_loss(const Model& model, std::span<const TokenId> ids) {
  SerialParallel serial;
  const std::vector<float> logits = all_logits(model, ids.first(ids.size() - 1), serial);
  const std::size_t vocab = model.config().vocab;
  double total = 0;
  for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
    const std::span<const float> row = std::span(logits).subspan(i * vocab, vocab);
    double sum = 0;
    for (const float logit : row) sum += std::exp(double{logit});
    total += std::log(sum) - double{row[ids[i + 1]]};
  }
  return total / static_cast<double>(ids.size() - 1);
}

TEST(Golden, EightBitLossOnBooksIsThatOfFloat) {
  const auto file = read_shared("models/reference/skein-ref-v1.pth");
  const auto vocabulary = read_shared("models/reference/vocab.txt");
  const auto text = read_shared("text/gutenberg-valid.txt");
  if (!file || !vocabulary || !text) GTEST_SKIP() << needs_shared("models/reference, text");
  const auto tokenizer = Tokenizer::parse(as_text(*vocabulary)).value();
  const Opened exact = open(*file, Precision::kKeep);
  const Opened coarse = open(*file, Precision::kQ8);
  double exact_loss = 0;
  double coarse_loss = 0;
  for (std::size_t window = 0; window < 4; ++window) {
    const std::string_view part = as_text(*text).substr(window * 400000, 900);
    auto ids = tokenizer->encode(part).value();
    ids.insert(ids.begin(), kEndOfText);
    exact_loss += mean_loss(*exact.model, ids) / 4;
    coarse_loss += mean_loss(*coarse.model, ids) / 4;
  }
  RecordProperty("exact_loss", std::to_string(exact_loss));
  RecordProperty("coarse_loss", std::to_string(coarse_loss));
  EXPECT_NEAR(exact_loss, 4.2, 0.6);
  EXPECT_NEAR(coarse_loss / exact_loss, 1, 0.002) << exact_loss << " " << coarse_loss;
}

}  // namespace
}  // namespace skein
