// How neurons are kept silent. The channel mix sees x = z + beta u: z has unit variance, u is a
// fixed vector of signs that LN2's bias adds. A key row is sigma (g - s u) with g Gaussian, so that
// key . x is Gaussian around -beta sigma s D, and s decides how often neuron i fires. s differs
// from neuron to neuron, as in trained models, where the hottest quarter carries some 40 % of
// firings. How far z of one token is like the last one's depends on the layer, so beta is then set
// by trial.
#include "edge_node/tool/internal/synthetic_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "common/base/check.h"
#include "common/model/model.h"
#include "common/model/weights.h"
#include "edge_node/tool/internal/large_memory.h"

namespace skein::tool {
namespace {

struct Size {
  std::string_view name;
  std::uint32_t layers, width;
  std::uint32_t rank_w, rank_a, rank_v, rank_g;
};
constexpr Size kSizes[] = {{"0.1B", 12, 768, 64, 64, 32, 128},
                           {"0.4B", 24, 1024, 64, 64, 32, 128},
                           {"1.5B", 24, 2048, 96, 96, 64, 256},
                           {"2.9B", 32, 2560, 96, 96, 64, 320}};
constexpr std::uint32_t kVocab = 65536;
constexpr std::uint32_t kHeadSize = 64;
constexpr float kBeta = 0.5F;
constexpr double kSparse = 0.4;       // below this share of zeros, value matrices are dense ones
constexpr double kSpread = 0.45;      // of how ready neurons are to fire, in standard deviations
constexpr double kMixedNorm = 0.775;  // of z after token shift with a share of 0.5 and the rest

// splitmix64 (Steele, Lea, Flood 2014).
class Stream {
 public:
  explicit Stream(std::uint64_t seed) : state_(seed * 0xD1342543DE82EF95ULL + 1) {}
  std::uint64_t next() {
    state_ += 0x9E3779B97F4A7C15ULL;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }
  // Nearly Gaussian, variance 1: four bytes summed.
  static float gaussian(std::uint32_t bits) {
    const std::uint32_t pairs = (bits & 0x00FF00FFU) + (bits >> 8 & 0x00FF00FFU);
    const auto sum = static_cast<std::int32_t>((pairs & 0xFFFFU) + (pairs >> 16));
    return static_cast<float>(sum - 510) * (1.0F / 147.8F);
  }
  float gaussian() { return gaussian(static_cast<std::uint32_t>(next() >> 32)); }

 private:
  std::uint64_t state_;
};

// A standard Gaussian's upper quantile: P(x > quantile(p)) = p, by bisection.
double upper_quantile(double p) {
  double low = -8, high = 8;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (std::erfc(middle / std::sqrt(2.0)) / 2 > p ? low : high) = middle;
  }
  return low;
}

struct Matrix {
  std::string name;
  Layout layout = Layout::kTiles;
  std::uint32_t rows = 0;
  std::uint32_t cols = 0;
  float sigma = 1;      // of its elements
  bool is_key = false;  // of a channel mix: shifted, so that neurons stay silent
  bool transposed = false;
};

// The grid of fixed steps that a format's weights are rounded to: quick, and like trained weights
// for a clock.
struct FixedGrid {
  FixedGrid(Format format, float sigma) {
    if (format == Format::kQ8) {
      steps = 127 / 4.2F;
      head = narrow_f16(sigma / steps);
      scale = widen_f16(head);
      return;
    }
    const unsigned bits = format == Format::kQ6 ? 6 : format == Format::kQ5 ? 5 : 4;
    most = static_cast<float>((1U << bits) - 1);
    steps = most / (bits == 4 ? 5.4F : bits == 5 ? 6.4F : 7.2F);
    const auto unit = static_cast<float>(128U >> bits);
    scale = sigma / (steps * unit);  // not below what the head says
    head = packed_head(scale, static_cast<unsigned>(most / 2 * unit));
  }
  float steps = 0;  // in a sigma
  float most = 0;   // the largest code
  float scale = 0;
  std::uint16_t head = 0;
};

void store_rounded(Format format, const Matrix& matrix, const Segment& segment,
                   std::span<float> values, MutableByteView out) {
  if (!is_quantized(format)) {
    for (float& value : values) value *= matrix.sigma;
    return encode(format, matrix.layout, segment.rows, matrix.cols, values, out);
  }
  const FixedGrid grid(format, matrix.sigma);
  const std::vector<std::uint16_t> heads(values.size() / kGroup, grid.head);
  if (format == Format::kQ8) {
    std::vector<std::int8_t> codes(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      codes[i] = static_cast<std::int8_t>(std::clamp(values[i] * grid.steps, -127.0F, 127.0F));
    }
    return place_q8(matrix.layout, segment.rows, matrix.cols, codes, heads, out);
  }
  std::vector<std::uint8_t> codes(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float place = std::clamp(values[i] * grid.steps + grid.most / 2, 0.0F, grid.most);
    codes[i] = static_cast<std::uint8_t>(place + 0.5F);
  }
  place_packed(format, matrix.layout, segment.rows, matrix.cols, codes, heads, out);
}

float sign_of_channel(std::uint32_t channel) {
  return (Stream(channel + 77).next() >> 40 & 1) != 0 ? 1.0F : -1.0F;
}

class SyntheticModel final : public PageSource {
 public:
  SyntheticModel(const Size& size, const SyntheticOptions& options)
      : size_(size), format_(options.format), silent_(options.silent), signs_(size.width) {
    for (std::uint32_t i = 0; i < size.width; ++i) signs_[i] = sign_of_channel(i);
    threshold_ = options.silent <= 0
                     ? -20.0
                     : upper_quantile(1 - options.silent) * std::sqrt(1 + kSpread * kSpread);
    manifest_.name = "synthetic-" + std::string(size.name);
    manifest_.config = {.layers = size.layers,
                        .width = size.width,
                        .heads = size.width / kHeadSize,
                        .head_size = kHeadSize,
                        .ffn_width = 4 * size.width,
                        .vocab = kVocab};
    list_tensors();
    memory_ = std::make_unique<LargeMemory>(bytes_);
  }

  void fill(Parallel& parallel) {
    for (std::size_t i = 0; i < vectors_.size(); ++i) {
      const TensorEntry& entry = manifest_.tensors[vectors_[i].tensor];
      const std::span<const float> values = vectors_[i].values;
      encode(Format::kF32, Layout::kRows, 1, entry.cols, values, at(entry.segments[0]));
    }
    struct Job {
      SyntheticModel& model;
      void run(std::size_t i) const { model.fill_piece(model.pieces_[i]); }
    } job{*this};
    run_tasks(parallel, pieces_.size(), job);
  }

  // Sets beta of each layer so that its neurons are silent as often as was asked.
  Result<void> calibrate(double silent, Parallel& parallel);

  const Manifest& manifest() const override { return manifest_; }
  Result<ByteView> page(PageIndex index) override {
    CHECK(index.value() < offsets_.size());
    return ByteView(
        memory_->bytes().subspan(offsets_[index.value()], manifest_.pages[index.value()].bytes));
  }

 private:
  struct Vector {
    std::size_t tensor;
    std::vector<float> values;
  };
  struct Piece {
    std::size_t tensor, segment, matrix;
  };

  void list_tensors();
  void add_layer(std::uint32_t index);
  void add_vector(std::string name, float centre, float spread, std::uint32_t count = 0);
  void add_values(std::string name, std::vector<float> values);
  void add_matrix(Matrix matrix);
  std::uint32_t add_page(std::uint64_t bytes);
  void fill_piece(const Piece& piece) const;
  MutableByteView at(const Segment& segment) const {
    return memory_->bytes().subspan(offsets_[segment.page], manifest_.pages[segment.page].bytes);
  }

  Size size_;
  Format format_;
  double silent_;
  double threshold_ = 0;
  Manifest manifest_;
  std::vector<float> signs_;
  std::vector<double> betas_;              // of each layer
  std::vector<std::size_t> beta_tensors_;  // their LN2 biases
  std::vector<Vector> vectors_;
  std::vector<Matrix> matrices_;
  std::vector<Piece> pieces_;
  std::vector<std::uint64_t> offsets_;
  std::uint64_t bytes_ = 0;
  std::unique_ptr<LargeMemory> memory_;
};

std::uint32_t SyntheticModel::add_page(std::uint64_t bytes) {
  offsets_.push_back(bytes_);
  bytes_ += (bytes + kSegmentAlignment - 1) / kSegmentAlignment * kSegmentAlignment;
  manifest_.pages.push_back({.digest = {}, .bytes = static_cast<std::uint32_t>(bytes)});
  return static_cast<std::uint32_t>(offsets_.size() - 1);
}

void SyntheticModel::add_values(std::string name, std::vector<float> values) {
  TensorEntry entry;
  entry.name = std::move(name);
  entry.cols = static_cast<std::uint32_t>(values.size());
  entry.rows = 1;
  entry.shape = {entry.cols};
  entry.segments = {{add_page(values.size() * sizeof(float)), 0, 0, 1}};
  vectors_.push_back({manifest_.tensors.size(), std::move(values)});
  manifest_.tensors.push_back(std::move(entry));
}

void SyntheticModel::add_vector(std::string name, float centre, float spread, std::uint32_t count) {
  std::vector<float> values(count == 0 ? size_.width : count);
  Stream stream(manifest_.tensors.size());
  for (float& value : values) value = centre + spread * stream.gaussian();
  add_values(std::move(name), std::move(values));
}

void SyntheticModel::add_matrix(Matrix matrix) {
  TensorEntry entry;
  entry.name = matrix.name;
  entry.format = format_;
  entry.layout = matrix.layout;
  entry.transposed = matrix.transposed;
  entry.rows = matrix.rows;
  entry.cols = matrix.cols;
  entry.shape = {matrix.rows, matrix.cols};
  if (matrix.transposed) std::ranges::reverse(entry.shape);
  const std::uint32_t unit = matrix.layout == Layout::kTiles ? kTileRows : 1;
  const std::uint64_t unit_bytes = stored_bytes(format_, matrix.layout, unit, matrix.cols);
  const auto step =
      static_cast<std::uint32_t>(std::max<std::uint64_t>(1, kTargetPageBytes / unit_bytes) * unit);
  for (std::uint32_t first = 0; first < matrix.rows; first += step) {
    const std::uint32_t rows = std::min(step, matrix.rows - first);
    const std::uint32_t page = add_page(stored_bytes(format_, matrix.layout, rows, matrix.cols));
    pieces_.push_back({manifest_.tensors.size(), entry.segments.size(), matrices_.size()});
    entry.segments.push_back({page, 0, first, rows});
  }
  manifest_.tensors.push_back(std::move(entry));
  matrices_.push_back(std::move(matrix));
}

void SyntheticModel::list_tensors() {
  const float sigma = 1 / std::sqrt(static_cast<float>(size_.width));
  add_matrix({"emb.weight", Layout::kRows, kVocab, size_.width, 1});
  add_vector("blocks.0.ln0.weight", 1, 0);
  add_vector("blocks.0.ln0.bias", 0, 0);
  for (std::uint32_t i = 0; i < size_.layers; ++i) add_layer(i);
  add_vector("ln_out.weight", 1, 0);
  add_vector("ln_out.bias", 0, 0);
  add_matrix({"head.weight", Layout::kTiles, kVocab, size_.width, sigma});
}

void SyntheticModel::add_layer(std::uint32_t index) {
  const std::string block = "blocks." + std::to_string(index) + ".";
  const std::string att = block + "att.";
  const std::uint32_t width = size_.width;
  const float sigma = 1 / std::sqrt(static_cast<float>(width));
  for (const char* norm : {"ln1", "att.ln_x"}) {
    add_vector(block + norm + ".weight", 1, 0.1F);
    add_vector(block + norm + ".bias", 0, 0.1F);
  }
  add_vector(block + "ln2.weight", 1, 0);
  betas_.push_back(kBeta);
  beta_tensors_.push_back(manifest_.tensors.size());
  std::vector<float> bias = signs_;
  for (float& value : bias) value *= kBeta;
  add_values(block + "ln2.bias", std::move(bias));
  for (const char* mix : {"x_r", "x_w", "x_k", "x_v", "x_a", "x_g"})
    add_vector(att + mix, 0.5F, 0.2F);
  for (const char* bias_of : {"w0", "a0", "v0"}) add_vector(att + bias_of, 0, 1);
  add_vector(att + "k_k", 0.8F, 0.1F);
  add_vector(att + "k_a", 1, 0.1F);
  add_vector(att + "r_k", 0, 0.1F);
  const auto lora = [&](const std::string& name, std::uint32_t rank) {
    add_matrix({name + "1", Layout::kTiles, rank, width, sigma, false, true});
    const float up = 0.3F / std::sqrt(static_cast<float>(rank));
    add_matrix({name + "2", Layout::kTiles, width, rank, up, false, true});
  };
  lora(att + "w", size_.rank_w);
  lora(att + "a", size_.rank_a);
  if (index != 0) lora(att + "v", size_.rank_v);
  lora(att + "g", size_.rank_g);
  for (const char* name : {"receptance", "key", "value"}) {
    add_matrix({att + name + ".weight", Layout::kTiles, width, width, sigma});
  }
  add_matrix({att + "output.weight", Layout::kTiles, width, width, sigma});
  add_vector(block + "ffn.x_k", 0.5F, 0.2F);
  add_matrix({block + "ffn.key.weight", Layout::kTiles, 4 * width, width, sigma, true});
  if (silent_ < kSparse) {  // as the press lays out what would gain nothing by being skipped
    add_matrix({block + "ffn.value.weight", Layout::kTiles, width, 4 * width, sigma});
    return;
  }
  add_matrix({block + "ffn.value.weight", Layout::kRows, 4 * width, width, sigma, false, true});
  if (is_quantized(format_)) {
    add_vector(block + std::string(kValueBounds), FixedGrid(format_, sigma).scale, 0, 4 * width);
  }
}

Result<void> SyntheticModel::calibrate(double silent, Parallel& parallel) {
  constexpr int kTrials = 4;
  constexpr TokenId kTokens = 24;
  if (silent <= 0) return {};
  const double wanted = upper_quantile(1 - silent);
  for (int trial = 0; trial < kTrials; ++trial) {
    TRY(const auto model, Model::open(*this));
    Runner runner(*model, parallel);
    RwkvState state = model->initial_state();
    std::vector<std::uint64_t> read(size_.layers);
    for (TokenId token = 0; token < kTokens; ++token) {
      const TokenId id = token * 2111 + 5;
      Activation activation;
      TRY_VOID(runner.embed(std::span(&id, 1), activation));
      for (std::uint32_t layer = 0; layer < size_.layers; ++layer) {
        const std::uint64_t before = runner.counters().value_rows_read;
        runner.layers(LayerIndex(layer), LayerIndex(layer + 1), activation, state);
        read[layer] += runner.counters().value_rows_read - before;
      }
    }
    for (std::uint32_t layer = 0; layer < size_.layers; ++layer) {
      const double share =
          static_cast<double>(read[layer]) / static_cast<double>(kTokens * 4ULL * size_.width);
      const double found = upper_quantile(std::clamp(share, 1e-4, 0.45));
      betas_[layer] *= std::clamp(wanted / found, 0.5, 2.0);
      std::vector<float> bias = signs_;
      for (float& value : bias) value *= static_cast<float>(betas_[layer]);
      const TensorEntry& entry = manifest_.tensors[beta_tensors_[layer]];
      encode(Format::kF32, Layout::kRows, 1, entry.cols, bias, at(entry.segments[0]));
    }
  }
  return {};
}

// What a row's elements are shifted by, per sign, in units of sigma.
double shift_of(double threshold, std::uint32_t width, float readiness) {
  const double wanted = threshold + kSpread * double{readiness};
  return wanted * kMixedNorm / (double{kBeta} * std::sqrt(static_cast<double>(width)));
}

void SyntheticModel::fill_piece(const Piece& piece) const {
  const Segment& segment = manifest_.tensors[piece.tensor].segments[piece.segment];
  const Matrix& matrix = matrices_[piece.matrix];
  const std::size_t count = std::size_t{segment.rows} * matrix.cols;
  Stream stream(piece.tensor * 1000003 + segment.first_row);
  std::vector<float> values(count);  // in units of sigma
  for (std::size_t i = 0; i + 1 < count; i += 2) {
    const std::uint64_t bits = stream.next();
    values[i] = Stream::gaussian(static_cast<std::uint32_t>(bits));
    values[i + 1] = Stream::gaussian(static_cast<std::uint32_t>(bits >> 32));
  }
  for (std::uint32_t row = 0; matrix.is_key && row < segment.rows; ++row) {
    const auto shift = static_cast<float>(shift_of(threshold_, size_.width, stream.gaussian()));
    float* const at_row = &values[std::size_t{row} * matrix.cols];
    for (std::uint32_t col = 0; col < matrix.cols; ++col) at_row[col] -= shift * signs_[col];
  }
  store_rounded(format_, matrix, segment, values, at(segment));
}

}  // namespace

Result<std::unique_ptr<PageSource>> make_synthetic(const SyntheticOptions& options,
                                                   Parallel& parallel) {
  const auto size = std::ranges::find(kSizes, options.size, &Size::name);
  if (size == std::end(kSizes)) {
    return fail(Errc::kUsage, "there is no size '" + std::string(options.size) + "'", "--synthetic",
                "choose 0.1B, 0.4B, 1.5B or 2.9B");
  }
  auto model = std::make_unique<SyntheticModel>(*size, options);
  model->fill(parallel);
  TRY_VOID(model->calibrate(options.silent, parallel));
  return model;
}

}  // namespace skein::tool
