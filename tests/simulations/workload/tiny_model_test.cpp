#include "simulations/workload/tiny_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "common/convert/convert.h"
#include "common/model/model.h"

namespace skein {
namespace {

std::unique_ptr<MemoryArtifact> artifact(unsigned version) {
  const TinyModel tiny = tiny_model(5, version);
  ConvertOptions options;
  options.precision = Precision::kQ8;
  options.vocabulary = as_bytes(tiny.vocabulary);
  return convert(tiny.checkpoint, options).value();
}

TEST(TinyModel, RunsAndSpeaksText) {
  const auto pages = artifact(1);
  const auto model = Model::open(*pages).value();
  const auto ids = model->tokenizer()->encode("ROBOT 7's log\n").value();
  ASSERT_EQ(ids.size(), 14U);
  SerialParallel serial;
  Runner runner(*model, serial);
  RwkvState state = model->initial_state();
  std::vector<float> logits(model->config().vocab);
  for (const TokenId id : ids) runner.step(id, state, logits);
  double spread = 0;
  for (const float logit : logits) {
    ASSERT_TRUE(std::isfinite(logit));
    spread += std::abs(static_cast<double>(logit) - logits[0]);
  }
  EXPECT_GT(spread, 1.0);
}

TEST(TinyModel, VersionsShareMostOfTheirPagesButNotAll) {
  std::set<Digest> first;
  for (const PageEntry& page : artifact(1)->manifest().pages) first.insert(page.digest);
  const auto second = artifact(2);
  std::size_t shared = 0;
  for (const PageEntry& page : second->manifest().pages) shared += first.contains(page.digest);
  EXPECT_GT(shared, second->manifest().pages.size() / 2);
  EXPECT_LT(shared, second->manifest().pages.size());
}

}  // namespace
}  // namespace skein
