#include "edge_node/learn/trainer.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <cmath>

#include "common/model/evaluate.h"
#include "edge_node/learn/internal/dense_weights.h"
#include "kernels/gradients/window.h"
#include "tests/support/golden_model.h"
#include "tests/support/memory_pages.h"

namespace skein {
namespace {

std::vector<TokenId> repeated(std::vector<TokenId> pattern, std::size_t count) {
  std::vector<TokenId> ids;
  for (std::size_t i = 0; i < count; ++i) ids.push_back(pattern[i % pattern.size()]);
  return ids;
}

struct Given {
  explicit Given(Format format) : pages(test::random_model(format, test::small_config())) {}
  test::MemoryPages pages;
  std::unique_ptr<Model> model = std::move(*Model::open(pages));
  SerialParallel serial;
};

void finish(Trainer& trainer) {
  while (!trainer.done()) trainer.next_window();
}

double mean_loss(const EvalResult& result) {
  return result.nll / static_cast<double>(result.tokens);
}

void expect_agreement(const Model& model) {
  const auto dense = internal::dense_weights(model.weights()).value();
  gradients::Window<float> window(dense);
  const std::vector<TokenId> ids = repeated({0, 5, 98, 17, 17, 42, 3}, 20);
  const std::vector<float> states(dense.state_size(), 0.0F);
  std::vector<float> logits(ids.size() * dense.vocab), expected(dense.vocab);
  window.logits(ids, states, logits);
  SerialParallel serial;
  Runner runner(model, serial);
  RwkvState state = model.initial_state();
  for (std::size_t t = 0; t < ids.size(); ++t) {
    runner.step(ids[t], state, expected);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(logits[t * dense.vocab + i], expected[i], 1e-3) << t << " " << i;
    }
  }
}

TEST(Trainer, DenseForwardAgreesWithTheModelThatServes) {
  for (const Format format : {Format::kF32, Format::kBf16, Format::kF16}) {
    expect_agreement(*Given(format).model);
  }
}

TEST(Trainer, FactorsAndLayersOfFewerNeuronsAreLearnedThroughToo) {
  const ModelConfig config = test::small_config();
  test::MemoryPages pages = test::random_model(Format::kF32, config);
  std::uint64_t seed = 100;
  const auto put = [&](const std::string& name, Layout layout, std::uint32_t rows,
                       std::uint32_t cols) {
    pages.remove(name);
    pages.add(name, {Format::kF32, layout, rows, cols},
              test::random_floats(std::size_t{rows} * cols, ++seed, 0.1F));
  };
  for (const std::string name : {"receptance", "key", "output"}) {
    const std::string matrix = "blocks.1.att." + name + ".weight";
    put(matrix + std::string(kRightFactor), Layout::kTiles, 20, config.width);
    put(matrix + std::string(kLeftFactor), Layout::kTiles, config.width, 20);
  }
  pages.remove("blocks.1.att.receptance.weight");  // only factors; the others have both
  put("blocks.0.ffn.key.weight", Layout::kTiles, 200, config.width);
  put("blocks.0.ffn.value.weight", Layout::kRows, 200, config.width);
  const auto model = Model::open(pages);
  ASSERT_TRUE(model) << to_string(model.error());
  expect_agreement(**model);
}

TEST(Trainer, NeuronsBelowTheirThresholdsAreSilentInLearningToo) {
  test::MemoryPages pages = test::random_model(Format::kF32, test::small_config());
  const std::uint32_t neurons = test::small_config().ffn_width;
  pages.add("blocks.1." + std::string(kValueThresholds), {.cols = neurons},
            std::vector<float>(neurons, 0.5F));
  const auto model = Model::open(pages);
  ASSERT_TRUE(model) << to_string(model.error());
  expect_agreement(**model);
}

TEST(Trainer, ANormedEmbeddingAndAHeadInAnotherOrderAreLearnedThroughToo) {
  const ModelConfig config = test::small_config();
  test::MemoryPages pages = test::random_model(Format::kF32, config);
  pages.remove("blocks.0.ln0.weight");
  pages.remove("blocks.0.ln0.bias");
  pages.add(std::string(kNormedEmbedding), {.cols = 1}, std::vector<float>{1});
  std::vector<float> order(config.vocab);
  for (std::uint32_t i = 0; i < config.vocab; ++i) {
    order[i] = static_cast<float>(i * 10 % config.vocab);
  }
  pages.add(std::string(kHeadOrder), {.cols = config.vocab}, order);
  const auto model = Model::open(pages);
  ASSERT_TRUE(model) << to_string(model.error());
  expect_agreement(**model);
}

TEST(Trainer, LearnsARepetitiveText) {
  Given given(Format::kBf16);
  const std::vector<TokenId> ids = repeated({7, 21, 13, 21, 80}, 240);
  const auto made =
      Trainer::make(*given.model, ids, {.learning_rate = 0.05F, .epochs = 6, .context = 32});
  Trainer& trainer = **made;
  finish(trainer);
  EXPECT_LT(trainer.loss_after(), trainer.loss_before() * 0.9);
  EXPECT_EQ(trainer.tokens(), ids.size());
}

TEST(Trainer, LossBeforeIsWhatEvaluationSays) {
  Given given(Format::kF32);
  const std::vector<TokenId> ids = repeated({7, 21, 13, 21, 80}, 70);
  const auto made = Trainer::make(*given.model, ids, {.context = 32});
  Trainer& trainer = **made;
  finish(trainer);
  const EvalResult result = evaluate(*given.model, given.serial, ids, 32).value();
  EXPECT_NEAR(trainer.loss_before(), mean_loss(result), 1e-4);
}

// The whole way: train, put base + update into an artifact, open it, evaluate there.
TEST(Trainer, ThePublishedStateGivesTheLossThatTrainingPromised) {
  test::GoldenModel golden;
  const std::vector<TokenId> ids = repeated({7, 21, 13, 21, 80}, 96);
  const auto made =
      Trainer::make(*golden.model, ids, {.learning_rate = 0.05F, .epochs = 3, .context = 32});
  Trainer& trainer = **made;
  finish(trainer);
  const RawUpdate update = trainer.update();
  const ModelConfig& config = golden.model->config();
  const std::size_t per_layer = update.delta.size() / config.layers;
  std::vector<CheckpointTensor> tensors;
  for (std::uint32_t l = 0; l < config.layers; ++l) {
    tensors.push_back({"blocks." + std::to_string(l) + ".att.time_state",
                       {config.heads, config.head_size, config.head_size},
                       Format::kF32,
                       std::as_bytes(std::span(update.delta).subspan(l * per_layer, per_layer))});
  }
  const auto tuned = with_tensors(*golden.artifact, tensors, "v2", "state-tuning", golden.digest);
  ASSERT_TRUE(tuned) << to_string(tuned.error());
  const auto model = Model::open(**tuned);
  ASSERT_TRUE(model) << to_string(model.error());
  SerialParallel serial;
  EXPECT_LT(trainer.loss_after(), trainer.loss_before());
  EXPECT_NEAR(mean_loss(evaluate(**model, serial, ids, 32).value()), trainer.loss_after(), 1e-4);
}

TEST(Trainer, GivesTheSameBitsTwice) {
  Given given(Format::kQ8);
  const std::vector<TokenId> ids = repeated({1, 2, 3, 4, 90, 6, 7}, 50);
  const auto made_first = Trainer::make(*given.model, ids, {.epochs = 2, .context = 16});
  Trainer& first = **made_first;
  const auto made_second = Trainer::make(*given.model, ids, {.epochs = 2, .context = 16});
  Trainer& second = **made_second;
  finish(first);
  finish(second);
  EXPECT_EQ(first.update().delta, second.update().delta);
  EXPECT_EQ(first.loss_after(), second.loss_after());
}

// What the allocator has handed out.
std::uint64_t held() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

TEST(Trainer, TakesNoMoreMemoryThanItSays) {
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  GTEST_SKIP() << "a sanitizer's allocator counts otherwise";
#endif
  const ModelConfig shape = {
      .layers = 3, .width = 256, .heads = 4, .head_size = 64, .ffn_width = 1024, .vocab = 2000};
  const test::MemoryPages pages = test::random_model(Format::kQ8, shape);
  test::MemoryPages opened = pages;
  const auto model = Model::open(opened).value();
  for (const std::uint32_t context : {16U, 64U, 300U}) {
    const std::uint64_t before = held();
    const auto trainer =
        Trainer::make(*model, repeated({7, 21, 13, 21, 80}, 2 * context), {.context = context});
    ASSERT_TRUE(trainer);
    std::uint64_t most = 0;
    while (!(*trainer)->done()) {
      (*trainer)->next_window();
      most = std::max(most, held() - before);
    }
    const RawUpdate update = (*trainer)->update();
    most = std::max(most, held() - before);
    const std::uint64_t said = Trainer::memory(pages.manifest(), context);
    EXPECT_LE(most, said) << context;
    EXPECT_GE(most, said / 2) << context << ": nobody would be lent so much in vain";
  }
}

TEST(Trainer, CountsItsWindows) {
  Given given(Format::kBf16);
  const auto made = Trainer::make(*given.model, repeated({1, 2}, 33), {.epochs = 2, .context = 16});
  Trainer& trainer = **made;
  EXPECT_EQ(trainer.windows_total(), 3 * 4);  // before, two epochs, after
  trainer.next_window();
  EXPECT_EQ(trainer.windows_done(), 1);
  EXPECT_FALSE(trainer.done());
}

TEST(PrivacyFilter, ClipsToTheNormAndRefusesWhatIsNotFinite) {
  const PrivacyFilter filter(5);
  const auto short_one = filter.apply({{3, 0}});
  ASSERT_TRUE(short_one);
  EXPECT_FALSE(short_one->clipped());
  EXPECT_EQ(short_one->delta()[0], 3);
  const auto long_one = filter.apply({{30, 40}});
  ASSERT_TRUE(long_one);
  EXPECT_TRUE(long_one->clipped());
  EXPECT_EQ(long_one->norm(), 5);
  EXPECT_FLOAT_EQ(long_one->delta()[1], 4);
  const auto broken = filter.apply({{1, std::nanf("")}});
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code, Errc::kRefused);
}

}  // namespace
}  // namespace skein
