#include "common/model/evaluate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/memory_pages.h"
#include "tests/support/stored_matrix.h"

namespace skein {
namespace {

const std::vector<TokenId> kText = {5, 98, 17, 17, 42, 3, 0, 8, 61, 12};

struct Given {
  test::MemoryPages pages = test::random_model(Format::kF32, test::small_config());
  std::unique_ptr<Model> model = std::move(*Model::open(pages));
  SerialParallel serial;
};

TEST(Evaluate, PredictsEveryIdInWindowsThatEachBeginWithIdZero) {
  Given given;
  // When a text of ten ids is evaluated in windows of four
  const EvalResult result = evaluate(*given.model, given.serial, kText, 4).value();
  // Then it is what the definition says, computed the long way
  double expected = 0;
  Runner runner(*given.model, given.serial);
  std::vector<float> logits(given.model->config().vocab);
  for (std::size_t first = 0; first < kText.size(); first += 4) {
    RwkvState state = given.model->initial_state();
    for (std::size_t i = first; i < std::min(first + 4, kText.size()); ++i) {
      runner.step(i == first ? 0 : kText[i - 1], state, logits);
      double sum = 0;
      for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
      expected += std::log(sum) - static_cast<double>(logits[kText[i]]);
    }
  }
  EXPECT_EQ(result.tokens, kText.size());
  EXPECT_NEAR(result.nll, expected, 1e-9 * expected);
}

TEST(Evaluate, GivesTheSameBitsWhateverTheThreads) {
  Given given;
  test::ShuffledParallel backward;
  const EvalResult one = evaluate(*given.model, given.serial, kText, 4).value();
  const EvalResult other = evaluate(*given.model, backward, kText, 4).value();
  EXPECT_EQ(one.nll, other.nll);
}

TEST(Evaluate, StopsBetweenWindowsWhenProgressSaysSo) {
  Given given;
  std::vector<std::uint64_t> heard;
  const EvalResult result =
      evaluate(*given.model, given.serial, kText, 4, [&](std::uint64_t tokens) {
        heard.push_back(tokens);
        return heard.size() < 2;
      }).value();
  EXPECT_EQ(heard, (std::vector<std::uint64_t>{4, 8}));
  EXPECT_EQ(result.tokens, 8);
}

TEST(Evaluate, AnEmptyTextHasNothingToPredict) {
  Given given;
  const EvalResult result = evaluate(*given.model, given.serial, {}, 4).value();
  EXPECT_EQ(result.tokens, 0);
  EXPECT_EQ(result.nll, 0);
}

}  // namespace
}  // namespace skein
