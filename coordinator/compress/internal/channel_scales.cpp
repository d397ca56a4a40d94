#include "coordinator/compress/internal/channel_scales.h"

#include <algorithm>
#include <cmath>

#include "common/base/check.h"
#include "common/model/weights.h"
#include "coordinator/compress/internal/changed_tensor.h"

namespace skein {
namespace {

constexpr std::size_t kInputs = 1, kOutputs = 0;  // dimensions of most matrices
constexpr std::size_t kLoraInputs = 0, kLoraOutputs = 1;

// A tensor of a layer, and along which dimension its channels lie.
struct Part {
  std::string_view name;
  std::size_t dimension = 0;
};

// Channels that are scaled together: who makes them, who reads them. What a model does not have is
// passed over.
struct Channels {
  std::vector<Part> makers;   // by 1 / s
  std::vector<Part> readers;  // by s
};

std::vector<Channels> channels_of(Architecture architecture) {
  const Channels time_mix = {.makers = {{"ln1.weight"}, {"ln1.bias"}},
                             .readers = {{"att.receptance.weight", kInputs},
                                         {"att.key.weight", kInputs},
                                         {"att.value.weight", kInputs},
                                         {"att.gate.weight", kInputs},
                                         {"att.w1", kLoraInputs},
                                         {"att.a1", kLoraInputs},
                                         {"att.v1", kLoraInputs},
                                         {"att.g1", kLoraInputs},
                                         {"att.time_maa_w1", kLoraInputs},
                                         {"att.time_decay_w1", kLoraInputs}}};
  const Channels channel_mix = {
      .makers = {{"ln2.weight"}, {"ln2.bias"}},
      .readers = {{"ffn.key.weight", kInputs}, {"ffn.receptance.weight", kInputs}}};
  Channels output = {.makers = {{"att.ln_x.weight"}, {"att.ln_x.bias"}},
                     .readers = {{"att.output.weight", kInputs}}};
  if (architecture == Architecture::kRwkv4) output.makers = {{"att.value.weight", kOutputs}};
  if (architecture == Architecture::kRwkv7) output.makers = {{"att.g2", kLoraOutputs}};
  return {time_mix, channel_mix, output};
}

// `tensor` with the elements of each channel times 2 to its power.
CheckpointTensor scaled(const CheckpointTensor& tensor, std::size_t dimension,
                        std::span<const int> powers) {
  std::uint64_t count = 1;
  for (const std::uint32_t size : tensor.shape) count *= size;
  std::vector<float> values(count);
  read_elements(tensor, 0, values);
  const bool matrix = tensor.shape.size() == 2 && count != powers.size();
  const bool outer = matrix && (dimension == 0) != tensor.swapped;
  const std::size_t each = outer ? count / powers.size() : 1;  // neighbours of one channel
  CHECK(count % powers.size() == 0);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = std::ldexp(values[i], powers[i / each % powers.size()]);
  }
  CheckpointTensor made = tensor;
  made.format = element_format(tensor);
  made.packing = Packing::kNone;
  made.doublings = 0;
  const auto all = static_cast<std::uint32_t>(count);
  auto bytes = std::make_shared<Buffer>(stored_bytes(made.format, Layout::kRows, 1, all));
  encode(made.format, Layout::kRows, 1, all, values, *bytes);
  made.data = *bytes;
  made.relaid = std::move(bytes);
  return made;
}

class Scaling {
 public:
  Scaling(Checkpoint& checkpoint, const StatisticsObserver& seen, std::uint32_t width,
          double exponent)
      : checkpoint_(checkpoint), seen_(seen), width_(width), exponent_(exponent) {}

  void scale(const std::string& block, const Channels& channels) {
    const std::vector<int> powers = scales_of(rms(block, channels.readers), exponent_);
    std::vector<int> inverse(powers.size());
    std::ranges::transform(powers, inverse.begin(), std::negate());
    for (const Part& part : channels.makers) put(block + std::string(part.name), part, inverse);
    for (const Part& part : channels.readers) put(block + std::string(part.name), part, powers);
  }

 private:
  // Of all matrices that read the channels and that the pass shows.
  std::vector<double> rms(const std::string& block, const std::vector<Part>& readers) const {
    std::vector<double> squares(width_);
    std::size_t matrices = 0;
    for (const Part& part : readers) {
      const InputStatistics* const found = seen_.find(block + std::string(part.name));
      if (found == nullptr || found->width() != width_) continue;
      ++matrices;
      for (std::uint32_t i = 0; i < width_; ++i) squares[i] += found->rms(i) * found->rms(i);
    }
    for (double& square : squares) square = std::sqrt(square / static_cast<double>(matrices));
    return squares;
  }

  // The matrix, or the one of its factors that touches these channels.
  void put(const std::string& name, const Part& part, std::span<const int> powers) {
    const bool reads = part.dimension == kInputs;
    const std::string factor = name + std::string(reads ? kRightFactor : kLeftFactor);
    for (const std::string& any : {name, factor}) {
      const CheckpointTensor* const tensor = find_tensor(checkpoint_, any);
      if (tensor != nullptr) put_tensor(checkpoint_, scaled(*tensor, part.dimension, powers));
    }
  }

  Checkpoint& checkpoint_;
  const StatisticsObserver& seen_;
  std::uint32_t width_;
  double exponent_;
};

}  // namespace

std::vector<int> scales_of(std::span<const double> rms, double exponent) {
  double mean = 0;
  std::size_t counted = 0;
  for (const double each : rms) {
    if (!(each > 0)) continue;
    mean += std::log2(each);
    ++counted;
  }
  mean /= static_cast<double>(std::max<std::size_t>(counted, 1));
  std::vector<int> powers(rms.size());
  for (std::size_t i = 0; i < rms.size(); ++i) {
    if (!(rms[i] > 0)) continue;
    const double power = std::round(exponent * (std::log2(rms[i]) - mean));
    powers[i] = static_cast<int>(std::clamp<double>(power, -kMostScale, kMostScale));
  }
  return powers;
}

Result<Checkpoint> scale_channels(const Checkpoint& checkpoint, const Model& model,
                                  Parallel& parallel, const CalibrationText& text, double exponent,
                                  const std::function<void(double, std::string_view)>& progress) {
  Checkpoint out = checkpoint;
  CalibrationPass pass(model, parallel, text);
  TRY_VOID(pass.begin());
  const std::vector<Channels> all = channels_of(model.config().architecture);
  Scaling scaling(out, pass.statistics(), model.config().width, exponent);
  while (pass.layer() < pass.layers()) {
    const std::string block = "blocks." + std::to_string(pass.layer()) + ".";
    TRY_VOID(pass.run_layer());
    for (const Channels& channels : all) scaling.scale(block, channels);
    progress(pass.layer() / static_cast<double>(pass.layers()), "channel scales");
  }
  return out;
}

}  // namespace skein
