#include "coordinator/compress/internal/neuron_order.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>

namespace skein {
namespace {

constexpr std::uint64_t kBlockBytes = 4096;
constexpr std::size_t kChain = 8;             // neurons that the next one should fire with
constexpr std::uint32_t kFewestTogether = 4;  // below that it is chance

// When each neuron fired, a bit a token.
class Firings {
 public:
  explicit Firings(const LayerActivity& activity)
      : words_((activity.tokens() + 63) / 64),
        bits_(words_ * static_cast<std::size_t>(activity.fired.cols())) {
    for (Eigen::Index token = 0; token < activity.fired.rows(); ++token) {
      const auto at = static_cast<std::size_t>(token);
      for (Eigen::Index i = 0; i < activity.fired.cols(); ++i) {
        if (activity.fired(token, i) == 0) continue;
        bits_[static_cast<std::size_t>(i) * words_ + at / 64] |= std::uint64_t{1} << (at % 64);
      }
    }
  }
  std::uint32_t count(std::uint32_t neuron) const { return together(neuron, neuron); }
  std::uint32_t together(std::uint32_t a, std::uint32_t b) const {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < words_; ++i) {
      sum +=
          static_cast<std::uint32_t>(std::popcount(bits_[a * words_ + i] & bits_[b * words_ + i]));
    }
    return sum;
  }

 private:
  std::size_t words_;
  std::vector<std::uint64_t> bits_;
};

std::vector<std::uint32_t> by_heat(const std::vector<std::uint32_t>& counts) {
  std::vector<std::uint32_t> order(counts.size());
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::sort(order, [&](auto a, auto b) {
    return counts[a] != counts[b] ? counts[a] > counts[b] : a < b;
  });
  return order;
}

std::vector<std::uint32_t> counts_of(const LayerActivity& activity) {
  std::vector<std::uint32_t> counts;
  for (Eigen::Index i = 0; i < activity.fired.cols(); ++i) {
    counts.push_back(static_cast<std::uint32_t>((activity.fired.col(i).array() != 0).count()));
  }
  return counts;
}

// Reorders cold[1..] into a chain of neurons that fire together: the cosine of two firing patterns,
// summed over the chain's last ones. Ties: the hotter one.
void chain(const Firings& firings, const std::vector<std::uint32_t>& counts,
           std::span<std::uint32_t> cold, Parallel& parallel) {
  std::vector<std::vector<float>> recent(kChain, std::vector<float>(cold.size(), 0.0F));
  for (std::size_t done = 0; done + 1 < cold.size(); ++done) {
    const std::uint32_t last = cold[done];
    std::vector<float>& now = recent[done % kChain];
    constexpr std::size_t kEach = 64;
    parallel.for_each((cold.size() + kEach - 1) / kEach, [&](std::size_t task) {
      for (std::size_t i = task * kEach; i < std::min(cold.size(), (task + 1) * kEach); ++i) {
        if (i <= done) continue;
        const std::uint32_t both = firings.together(last, cold[i]);
        const float product =
            static_cast<float>(counts[last]) * static_cast<float>(std::max(counts[cold[i]], 1U));
        now[i] = both < kFewestTogether ? 0.0F : static_cast<float>(both) / std::sqrt(product);
      }
    });
    std::size_t best = done + 1;
    float most = -1;
    for (std::size_t i = done + 1; i < cold.size(); ++i) {
      float sum = 0;
      for (const std::vector<float>& each : recent) sum += each[i];
      if (sum <= most) continue;
      most = sum;
      best = i;
    }
    // A rotation keeps the rest in order of heat.
    const auto rotate = [&](auto& all) {
      const auto first = all.begin() + static_cast<std::ptrdiff_t>(done) + 1;
      const auto chosen = all.begin() + static_cast<std::ptrdiff_t>(best);
      std::rotate(first, chosen, chosen + 1);
    };
    rotate(cold);
    for (std::vector<float>& each : recent) rotate(each);
  }
}

Buffer permuted_rows(ByteView from, std::span<const std::uint32_t> order) {
  Buffer to(from.size());
  const std::size_t row = from.size() / order.size();
  for (std::size_t i = 0; i < order.size(); ++i) {
    std::memcpy(&to[i * row], &from[order[i] * row], row);
  }
  return to;
}

Buffer permuted_columns(ByteView from, std::span<const std::uint32_t> order, std::size_t element) {
  Buffer to(from.size());
  const std::size_t row = order.size() * element;
  for (std::size_t at = 0; at < from.size(); at += row) {
    for (std::size_t i = 0; i < order.size(); ++i) {
      std::memcpy(&to[at + i * element], &from[at + order[i] * element], element);
    }
  }
  return to;
}

// Unpacked and the official way round, where it is not.
CheckpointTensor plain(const CheckpointTensor& tensor) {
  if (tensor.packing == Packing::kNone && !tensor.swapped && tensor.doublings == 0) return tensor;
  const std::size_t rows = tensor.shape[0];
  const std::size_t cols = tensor.shape[1];
  std::vector<float> values(rows * cols);
  read_elements(tensor, 0, values);
  auto bytes = std::make_shared<Buffer>(values.size() * sizeof(float));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t from = tensor.swapped ? i % cols * rows + i / cols : i;
    std::memcpy(&(*bytes)[i * sizeof(float)], &values[from], sizeof(float));
  }
  return {.name = tensor.name, .shape = tensor.shape, .data = *bytes, .relaid = bytes};
}

}  // namespace

std::vector<std::uint32_t> hot_first_order(const LayerActivity& activity, Parallel& parallel) {
  const std::vector<std::uint32_t> counts = counts_of(activity);
  std::vector<std::uint32_t> order = by_heat(counts);
  const auto hot = static_cast<std::size_t>(kHotShare * static_cast<double>(order.size()));
  chain(Firings(activity), counts, std::span(order).subspan(hot), parallel);
  return order;
}

double hot_quarter_share(const LayerActivity& activity) {
  std::vector<std::uint32_t> counts = counts_of(activity);
  std::ranges::sort(counts, std::ranges::greater());
  const auto hot = static_cast<std::ptrdiff_t>(kHotShare * static_cast<double>(counts.size()));
  const auto sum = [](auto from, auto to) { return std::accumulate(from, to, std::uint64_t{0}); };
  const std::uint64_t all = sum(counts.begin(), counts.end());
  if (all == 0) return 0;
  return static_cast<double>(sum(counts.begin(), counts.begin() + hot)) / static_cast<double>(all);
}

BlockTouches block_touches(const LayerActivity& activity, std::span<const std::uint32_t> order,
                           std::uint64_t row_bytes) {
  const auto neurons = static_cast<std::uint32_t>(activity.fired.cols());
  const std::uint64_t all = (neurons * row_bytes + kBlockBytes - 1) / kBlockBytes;
  BlockTouches touches{.blocks = static_cast<std::uint32_t>(all)};
  std::uint64_t sum = 0;
  for (Eigen::Index token = 0; token < activity.fired.rows(); ++token) {
    std::uint64_t next = 0;  // blocks below it are counted
    for (std::uint32_t i = 0; i < neurons; ++i) {
      if (activity.fired(token, order.empty() ? i : order[i]) == 0) continue;
      const std::uint64_t first = std::max(next, i * row_bytes / kBlockBytes);
      const std::uint64_t end = ((i + 1) * row_bytes - 1) / kBlockBytes + 1;
      if (end <= first) continue;
      sum += end - first;
      next = end;
    }
  }
  touches.touched = static_cast<double>(sum) / static_cast<double>(activity.fired.rows());
  return touches;
}

Result<Checkpoint> reordered(const Checkpoint& checkpoint,
                             std::span<const std::vector<std::uint32_t>> orders) {
  Checkpoint out = checkpoint;
  for (std::size_t layer = 0; layer < orders.size(); ++layer) {
    const std::string block = "blocks." + std::to_string(layer) + ".ffn.";
    for (CheckpointTensor& tensor : out.tensors) {
      const bool key = tensor.name == block + "key.weight";
      if (!key && tensor.name != block + "value.weight") continue;
      const CheckpointTensor from = plain(tensor);
      const std::size_t element = from.format == Format::kF32 ? sizeof(float) : 2;
      auto bytes =
          std::make_shared<Buffer>(key ? permuted_rows(from.data, orders[layer])
                                       : permuted_columns(from.data, orders[layer], element));
      tensor = {.name = from.name, .shape = from.shape, .format = from.format, .data = *bytes};
      tensor.relaid = std::move(bytes);
    }
  }
  return out;
}

}  // namespace skein
