// A paged model whose head has company: the same logits as whole.
#include <gtest/gtest.h>

#include <vector>

#include "tests/edge_node/paging/paged_model.h"
#include "tests/golden/hashes/seeded_model.h"

namespace skein {
namespace {

constexpr std::uint32_t kVocab = test::SeededModel::kVocab;

void add_company(test::MemoryPages& pages) {
  const std::uint32_t width = pages.config().width;
  std::vector<float> order(kVocab);
  for (std::uint32_t i = 0; i < kVocab; ++i) order[i] = static_cast<float>(i * 7 % kVocab);
  pages.add("head.order", {.cols = kVocab}, order);
  pages.add("head.clusters.weight", {.rows = 4, .cols = width},
            test::random_floats(std::size_t{4} * width, 5, 0.1F));
  pages.add("head.clusters.bias", {.cols = 4}, std::vector<float>{0.1F, 0, 0.2F, -0.1F});
  pages.add("head.clusters.first", {.cols = 5}, std::vector<float>{0, 20, 21, 50, kVocab});
  pages.add("head.clusters.rule", {.cols = 3}, std::vector<float>{0.4F, 1, 3});
  pages.remove("blocks.0.ln0.weight");
  pages.remove("blocks.0.ln0.bias");
  pages.add("emb.normed", {.cols = 1}, std::vector<float>{1});
}

std::vector<float> logits_of(const Model& model) {
  SerialParallel alone;
  Runner runner(model, alone);
  RwkvState state = model.initial_state();
  std::vector<float> all;
  std::vector<float> logits(kVocab);
  for (TokenId token = 0; token < 12; ++token) {
    const Feed feed = {std::span(&token, 1), &state, logits, 1};  // a paged model screens nothing
    EXPECT_TRUE(runner.feed(std::span(&feed, 1)));
    all.insert(all.end(), logits.begin(), logits.end());
  }
  return all;
}

TEST(PagedHead, ClustersOrderAndANormedEmbeddingGiveTheSameBitsUnderEveryBudget) {
  for (const Format format : {Format::kBf16, Format::kQ8, Format::kQ4}) {
    test::SeededModel seeded({.version = Architecture::kRwkv7}, format);
    add_company(seeded.pages());
    const auto whole = Model::open(seeded.pages());
    ASSERT_TRUE(whole) << to_string(whole.error());
    const std::vector<float> expected = logits_of(**whole);
    test::PagedModel paged(seeded.pages());
    SerialParallel alone;
    for (const double share : {1.0, 0.5, 0.0}) {
      const auto opened = paged.open(paged.plan(share), alone);
      ASSERT_TRUE(opened) << to_string(opened.error());
      EXPECT_EQ(logits_of(*paged.model), expected) << name_of(format) << " " << share;
    }
  }
}

}  // namespace
}  // namespace skein
