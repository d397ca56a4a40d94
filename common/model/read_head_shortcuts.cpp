#include <algorithm>
#include <cmath>

#include "common/artifact/manifest.h"
#include "common/model/internal/head_shortcuts.h"

namespace skein {
namespace {

constexpr float kLongestBasisRow = 1.01F;  // head_screen.cpp counts on it

tl::unexpected<Error> unsound(const std::string& name, std::string what) {
  return fail(Errc::kCorrupt, std::move(what), "tensor " + name, "fetch the artifact again");
}

// Whole numbers below `limit`.
Result<std::vector<std::uint32_t>> numbers(TensorReader& tensors, const std::string& name,
                                           std::size_t count, std::uint32_t limit) {
  TRY(const std::vector<float> values, tensors.vector(name, count));
  std::vector<std::uint32_t> out;
  for (const float value : values) {
    if (!(value >= 0 && value < static_cast<float>(limit)) || value != std::floor(value)) {
      return unsound(name, "it holds something else than whole numbers in their range");
    }
    out.push_back(static_cast<std::uint32_t>(value));
  }
  return out;
}

Result<std::vector<std::uint32_t>> read_order(TensorReader& tensors, std::uint32_t vocab) {
  const std::string name(kHeadOrder);
  TRY(std::vector<std::uint32_t> order, numbers(tensors, name, vocab, vocab));
  std::vector<bool> seen(vocab, false);
  for (const std::uint32_t token : order) {
    if (seen[token]) return unsound(name, "it names a token twice");
    seen[token] = true;
  }
  return order;
}

Result<HeadScreen> read_screen(TensorReader& tensors, const ModelConfig& config) {
  const std::string prefix(kHeadScreen);
  HeadScreen screen;
  TRY(screen.sketch, tensors.matrix(prefix + "sketch", {Layout::kTiles, config.vocab, 0}));
  const std::size_t rank = screen.rank();
  TRY(screen.basis, tensors.vector(prefix + "basis", rank * config.width));
  TRY(screen.inside, tensors.vector(prefix + "inside", config.vocab));
  TRY(screen.beyond, tensors.vector(prefix + "beyond", config.vocab));
  TRY(screen.sizes, tensors.vector(prefix + "sizes", config.vocab));
  for (std::size_t at = 0; at < screen.basis.size(); at += config.width) {
    double sum = 0;
    for (std::uint32_t i = 0; i < config.width; ++i) {
      sum += double{screen.basis[at + i]} * screen.basis[at + i];
    }
    if (!(std::sqrt(sum) <= kLongestBasisRow)) {
      return unsound(prefix + "basis", "a row of it is longer than 1");
    }
  }
  return screen;
}

Result<HeadClusters> read_clusters(TensorReader& tensors, const ModelConfig& config) {
  const std::string prefix(kHeadClusters);
  const std::uint32_t count = tensors.stored_rows(prefix + "weight");
  HeadClusters clusters;
  TRY(clusters.weight, tensors.vector(prefix + "weight", std::size_t{count} * config.width));
  TRY(clusters.bias, tensors.vector(prefix + "bias", count));
  TRY(clusters.first, numbers(tensors, prefix + "first", count + 1, config.vocab + 1));
  const auto next = std::ranges::adjacent_find(clusters.first, std::greater_equal<>());
  if (clusters.first.front() != 0 || clusters.first.back() != config.vocab ||
      next != clusters.first.end()) {
    return unsound(prefix + "first", "its clusters do not cover the vocabulary");
  }
  TRY(const std::vector<float> rule, tensors.vector(prefix + "rule", 3));
  const bool sound = rule[0] > 0 && rule[0] <= 1 && rule[1] >= 1 && rule[2] >= rule[1] &&
                     rule[2] <= static_cast<float>(count);
  if (!sound) return unsound(prefix + "rule", "it is no rule of which clusters are looked into");
  clusters.mass = double{rule[0]};
  clusters.least = static_cast<std::uint32_t>(rule[1]);
  clusters.most = static_cast<std::uint32_t>(rule[2]);
  return clusters;
}

}  // namespace

Result<std::shared_ptr<const HeadShortcuts>> read_head_shortcuts(TensorReader& tensors,
                                                                 const ModelConfig& config,
                                                                 bool holds_screen) {
  const bool screens = holds_screen && tensors.has(std::string(kHeadScreen) + "sketch");
  const bool clusters = tensors.has(std::string(kHeadClusters) + "weight");
  const bool ordered = tensors.has(std::string(kHeadOrder));
  auto shortcuts = std::make_shared<HeadShortcuts>();
  if (!screens && !clusters && !ordered) return std::shared_ptr<const HeadShortcuts>();
  if (ordered) {
    TRY(shortcuts->order, read_order(tensors, config.vocab));
  }
  if (screens) {
    TRY(shortcuts->screen, read_screen(tensors, config));
  }
  if (clusters) {
    TRY(shortcuts->clusters, read_clusters(tensors, config));
  }
  return std::shared_ptr<const HeadShortcuts>(std::move(shortcuts));
}

}  // namespace skein
