#include "common/model/model.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "kernels/isa/isa.h"
#include "tests/support/allocation_count.h"
#include "tests/support/memory_pages.h"
#include "tests/support/stored_matrix.h"

namespace skein {
namespace {

constexpr Format kFormats[] = {Format::kF32, Format::kBf16, Format::kF16, Format::kQ8,
                               Format::kQ6,  Format::kQ5,   Format::kQ4};

std::unique_ptr<Model> open(test::MemoryPages& pages) {
  auto model = Model::open(pages);
  EXPECT_TRUE(model) << to_string(model.error());
  return std::move(*model);
}

std::vector<float> logits_after(const Model& model, Parallel& parallel,
                                std::span<const TokenId> tokens, RwkvState& state) {
  Runner runner(model, parallel);
  std::vector<float> logits(model.config().vocab);
  for (const TokenId token : tokens) runner.step(token, state, logits);
  return logits;
}

const std::vector<TokenId> kTokens = {0, 5, 98, 17, 17, 42};

TEST(Model, OpensEveryFormatAndTakesTheTokenizerAlong) {
  for (const Format format : kFormats) {
    test::MemoryPages pages = test::random_model(format, test::small_config());
    pages.add_vocabulary("1 'a' 1\n2 'b' 1\n");
    const auto model = open(pages);
    ASSERT_NE(model->tokenizer(), nullptr);
    EXPECT_EQ(model->tokenizer()->encode("ba").value(), (std::vector<TokenId>{2, 1}));
  }
}

TEST(Model, NamesTheTensorThatIsMissingOrMisshapen) {
  const auto expect_refused = [](test::MemoryPages& pages, const std::string& name) {
    const auto refused = Model::open(pages);
    ASSERT_FALSE(refused) << name;
    EXPECT_NE(refused.error().where.find(name), std::string::npos) << to_string(refused.error());
  };
  for (const char* name : {"emb.weight", "blocks.1.att.v2", "blocks.0.ln0.bias", "head.weight",
                           "blocks.1.ffn.value.weight", "blocks.0.att.r_k"}) {
    test::MemoryPages missing = test::random_model(Format::kF32, test::small_config());
    missing.remove(name);
    expect_refused(missing, name);
    test::MemoryPages misshapen = test::random_model(Format::kF32, test::small_config());
    misshapen.tensor(name).cols += 1;
    expect_refused(misshapen, name);
    test::MemoryPages short_page = test::random_model(Format::kF32, test::small_config());
    short_page.tensor(name).segments[0].offset = 64;
    expect_refused(short_page, name);
    test::MemoryPages gap = test::random_model(Format::kF32, test::small_config());
    gap.tensor(name).segments.pop_back();
    expect_refused(gap, name);
  }
}

TEST(Model, RefusesOtherArchitecturesAndBrokenShapes) {
  test::MemoryPages pages = test::random_model(Format::kF32, test::small_config());
  pages.config().architecture = Architecture{8};
  EXPECT_EQ(Model::open(pages).error().code, Errc::kUnsupported);
  for (const Architecture other : {Architecture::kRwkv4, Architecture::kRwkv5_1,
                                   Architecture::kRwkv5_2, Architecture::kRwkv6}) {
    pages.config().architecture = other;  // and has not that version's tensors, or has heads
    EXPECT_EQ(Model::open(pages).error().code, Errc::kCorrupt);
  }
  pages.config().architecture = Architecture::kRwkv7;
  pages.config().heads = 3;
  EXPECT_EQ(Model::open(pages).error().code, Errc::kCorrupt);
}

TEST(Runner, LayersInTwoPartsAreTheWholeModel) {
  test::MemoryPages pages = test::random_model(Format::kBf16, test::small_config());
  const auto model = open(pages);
  SerialParallel serial;
  RwkvState whole = model->initial_state();
  const std::vector<float> expected = logits_after(*model, serial, kTokens, whole);

  Runner near(*model, serial);
  Runner far(*model, serial);
  RwkvState near_state = model->initial_state();
  RwkvState far_state = model->initial_state();
  Activation activation;
  std::vector<float> logits(model->config().vocab);
  for (const TokenId token : kTokens) {
    near.embed(std::span(&token, 1), activation);
    near.layers(LayerIndex(0), LayerIndex(1), activation, near_state);
    far.layers(LayerIndex(1), LayerIndex(2), activation, far_state);
    far.head(activation, 0, 1, logits);
  }
  EXPECT_EQ(logits, expected);
}

TEST(Runner, ASavedStateGoesOnWithTheSameBits) {
  test::MemoryPages pages = test::random_model(Format::kQ8, test::small_config());
  const auto model = open(pages);
  SerialParallel serial;
  RwkvState whole = model->initial_state();
  const std::vector<float> expected = logits_after(*model, serial, kTokens, whole);

  RwkvState first = model->initial_state();
  logits_after(*model, serial, std::span(kTokens).first(3), first);
  const Buffer saved = first.save(Digest{});
  RwkvState moved = RwkvState::restore(saved, model->config(), Digest{}).value();
  EXPECT_EQ(logits_after(*model, serial, std::span(kTokens).subspan(3), moved), expected);
  EXPECT_EQ(moved, whole);
  EXPECT_EQ(whole.step, Step(kTokens.size()));
}

TEST(Runner, StartsFromTheTunedStateWhenThereIsOne) {
  test::MemoryPages pages = test::random_model(Format::kF32, test::small_config());
  const std::vector<float> tuned = test::random_floats(2 * 64 * 64, 50);
  pages.add("blocks.1.att.time_state", {.rows = 2 * 64, .cols = 64}, tuned);
  const auto model = open(pages);
  const RwkvState state = model->initial_state();
  EXPECT_TRUE(std::ranges::equal(state.wkv(LayerIndex(1)), tuned));
  for (const float value : state.wkv(LayerIndex(0))) EXPECT_EQ(value, 0);
}

TEST(Runner, GivesTheSameBitsOnEveryInstructionSetAndSplit) {
  for (const Format format : kFormats) {
    test::MemoryPages pages = test::random_model(format, test::small_config());
    const auto model = open(pages);
    SerialParallel serial;
    test::ShuffledParallel shuffled;
    RwkvState expected_state = model->initial_state();
    ASSERT_TRUE(select_isa("scalar"));
    const auto expected = logits_after(*model, serial, kTokens, expected_state);
    for (const Isa isa : supported_isas()) {
      ASSERT_TRUE(select_isa(name_of(isa)));
      RwkvState state = model->initial_state();
      EXPECT_EQ(logits_after(*model, shuffled, kTokens, state), expected)
          << name_of(format) << " " << name_of(isa);
      EXPECT_EQ(state, expected_state);
    }
    ASSERT_TRUE(select_isa(""));
  }
}

std::vector<TokenId> random_tokens(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens) token = static_cast<TokenId>(random() % 90);
  return tokens;
}

// One token a pass: what every other way of feeding must equal.
struct Alone {
  Alone(const Model& model, std::span<const TokenId> tokens) : state(model.initial_state()) {
    SerialParallel serial;
    Runner runner(model, serial);
    const std::size_t vocab = model.config().vocab;
    logits.resize(vocab * tokens.size());
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      runner.step(tokens[i], state, std::span(logits).subspan(i * vocab, vocab));
    }
  }
  std::vector<float> logits;
  RwkvState state;
};

TEST(Runner, APromptInPassesGivesTheBitsOfOneTokenAtATime) {
  const std::vector<TokenId> tokens = random_tokens(kMostRows * 2 + 7, 1);
  for (const Format format : kFormats) {
    test::MemoryPages pages = test::random_model(format, test::small_config());
    const auto model = open(pages);
    const Alone alone(*model, tokens);
    test::ShuffledParallel shuffled;
    for (const std::size_t part : {2UL, 7UL, tokens.size()}) {
      Runner runner(*model, shuffled);
      RwkvState state = model->initial_state();
      std::vector<float> logits(alone.logits.size());
      const std::size_t vocab = model->config().vocab;
      for (std::size_t first = 0; first < tokens.size(); first += part) {
        const std::size_t count = std::min(part, tokens.size() - first);
        const Feed feed = {std::span(tokens).subspan(first, count), &state,
                           std::span(logits).subspan(first * vocab, count * vocab)};
        runner.feed(std::span(&feed, 1));
      }
      EXPECT_EQ(logits, alone.logits) << name_of(format) << " by " << part;
      EXPECT_EQ(state, alone.state) << name_of(format);
    }
  }
}

TEST(Runner, SessionsThatShareAPassGetTheBitsTheyWouldGetAlone) {
  for (const Format format : kFormats) {
    test::MemoryPages pages = test::random_model(format, test::small_config());
    const auto model = open(pages);
    test::ShuffledParallel shuffled;
    Runner runner(*model, shuffled);
    const std::size_t vocab = model->config().vocab;
    const std::size_t lengths[] = {1, 3, 1, 90, 2, 0, 1};
    std::vector<std::vector<TokenId>> tokens;
    std::vector<RwkvState> states(std::size(lengths), model->initial_state());
    std::vector<std::vector<float>> logits(std::size(lengths));
    std::vector<Feed> feeds;
    for (std::size_t i = 0; i < std::size(lengths); ++i) {
      tokens.push_back(random_tokens(lengths[i], static_cast<std::uint32_t>(i) + 10));
      logits[i].resize(i == 2 || lengths[i] == 0 ? 0 : vocab);
    }
    for (std::size_t i = 0; i < std::size(lengths); ++i) {
      feeds.push_back({tokens[i], &states[i], logits[i]});
    }
    runner.feed(feeds);
    for (std::size_t i = 0; i < std::size(lengths); ++i) {
      const Alone alone(*model, tokens[i]);
      EXPECT_EQ(states[i], alone.state) << name_of(format) << " session " << i;
      EXPECT_TRUE(std::ranges::equal(logits[i], std::span(alone.logits).last(logits[i].size())))
          << name_of(format) << " session " << i;
    }
  }
}

TEST(Runner, DoesNotAllocateAfterWarmUp) {
  for (const Format format : kFormats) {
    test::MemoryPages pages = test::random_model(format, test::small_config());
    const auto model = open(pages);
    test::ShuffledParallel parallel;
    Runner runner(*model, parallel);
    RwkvState state = model->initial_state();
    std::vector<float> logits(model->config().vocab);
    runner.step(1, state, logits);
    const std::uint64_t before = test::allocations;
    for (TokenId token = 0; token < 20; ++token) runner.step(token, state, logits);
    EXPECT_EQ(test::allocations, before) << name_of(format);

    const std::vector<TokenId> prompt = random_tokens(70, 3);
    RwkvState other = model->initial_state();
    std::vector<float> other_logits(logits.size());
    const Feed feeds[] = {{prompt, &state, logits},
                          {std::span(prompt).first(3), &other, other_logits}};
    runner.feed(feeds);
    const std::uint64_t warm = test::allocations;
    runner.feed(feeds);
    runner.step(1, state, logits);
    EXPECT_EQ(test::allocations, warm) << name_of(format);
  }
}

// What each matrix multiplies, without a bit of the results changed.
TEST(Runner, ShowsAnObserverTheInputsOfEveryMatrix) {
  class Seen final : public InputObserver {
   public:
    void saw(std::string_view tensor, std::span<const float> inputs, std::uint32_t width) override {
      rows[std::string(tensor)] += inputs.size() / width;
      widths[std::string(tensor)] = width;
      if (tensor == "blocks.1.ffn.value.weight") {
        zeros += static_cast<std::uint64_t>(std::ranges::count(inputs, 0.0F));
      }
    }
    std::map<std::string, std::uint64_t> rows;
    std::map<std::string, std::uint32_t> widths;
    std::uint64_t zeros = 0;
  } seen;
  test::MemoryPages pages = test::random_model(Format::kQ8, test::small_config());
  const auto model = open(pages);
  SerialParallel serial;
  const auto run = [&](InputObserver* observer) {
    Runner runner(*model, serial);
    runner.observe(observer);
    RwkvState state = model->initial_state();
    std::vector<float> logits(kTokens.size() * model->config().vocab);
    const Feed feed{kTokens, &state, logits};
    EXPECT_TRUE(runner.feed(std::span(&feed, 1)));
    return logits;
  };
  EXPECT_EQ(run(&seen), run(nullptr));
  std::size_t matrices = 0;
  for (const TensorEntry& tensor : pages.manifest().tensors) {
    const bool stays = tensor.name == "emb.weight" || tensor.name.ends_with("time_state");
    const bool unused = tensor.name == "blocks.0.att.v1" || tensor.name == "blocks.0.att.v2";
    if (tensor.rows == 1 || stays || unused) continue;
    ++matrices;
    EXPECT_EQ(seen.rows[tensor.name], kTokens.size()) << tensor.name;
    const bool neuron_major = tensor.name.ends_with("ffn.value.weight");
    EXPECT_EQ(seen.widths[tensor.name], neuron_major ? tensor.rows : tensor.cols) << tensor.name;
  }
  EXPECT_GT(matrices, 20U);
  EXPECT_GT(seen.zeros, 0U);
}

TEST(Runner, CountsTheValueRowsItRead) {
  test::MemoryPages pages = test::random_model(Format::kF32, test::small_config());
  const auto model = open(pages);
  SerialParallel serial;
  Runner runner(*model, serial);
  RwkvState state = model->initial_state();
  for (const TokenId token : kTokens) runner.step(token, state, {});
  const Runner::Counters& counters = runner.counters();
  EXPECT_EQ(counters.value_rows_total, 300U * 2 * kTokens.size());
  EXPECT_GT(counters.value_rows_read, counters.value_rows_total / 4);
  EXPECT_LT(counters.value_rows_read, counters.value_rows_total * 3 / 4);
}

}  // namespace
}  // namespace skein
