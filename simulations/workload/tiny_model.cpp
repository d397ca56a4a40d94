#include "simulations/workload/tiny_model.h"

#include <cmath>

namespace skein {
namespace {

constexpr std::uint32_t kLayers = 2;
constexpr std::uint32_t kWidth = 64;
constexpr std::uint32_t kFfn = 128;
constexpr std::uint32_t kVocab = 257;
constexpr std::uint32_t kRank = 8;

class Maker {
 public:
  explicit Maker(std::uint64_t seed) : state_(seed) { model_.storage.reserve(256); }

  // A tensor of `shape`, uniform in centre +- spread.
  void add(const std::string& name, std::vector<std::uint32_t> shape, float centre, float spread) {
    std::size_t count = 1;
    for (const std::uint32_t size : shape) count *= size;
    Buffer bytes;
    bytes.reserve(count * sizeof(float));
    for (std::size_t i = 0; i < count; ++i) append_le(bytes, centre + spread * unit());
    model_.storage.push_back(std::move(bytes));
    model_.checkpoint.tensors.push_back(
        {name, std::move(shape), Format::kF32, model_.storage.back()});
  }
  void matrix(const std::string& name, std::uint32_t rows, std::uint32_t cols, float gain) {
    add(name, {rows, cols}, 0, gain / std::sqrt(static_cast<float>(cols)));
  }
  void norm(const std::string& name) {
    add(name + ".weight", {kWidth}, 1, 0.1F);
    add(name + ".bias", {kWidth}, 0, 0.1F);
  }
  void reseed(std::uint64_t seed) { state_ = seed; }
  std::uint64_t state() const { return state_; }
  TinyModel take() { return std::move(model_); }

 private:
  float unit() {  // uniform in [-1, 1); SplitMix64
    state_ += 0x9e3779b97f4a7c15ULL;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    z ^= z >> 31;
    return static_cast<float>(static_cast<double>(z >> 11) * 0x1.0p-52 - 1.0);
  }

  std::uint64_t state_;
  TinyModel model_;
};

void add_time_mix(Maker& make, const std::string& att, bool first_layer) {
  for (const char* mix : {"x_r", "x_w", "x_k", "x_v", "x_a", "x_g"}) {
    make.add(att + mix, {1, 1, kWidth}, 0.5F, 0.5F);
  }
  make.add(att + "w0", {1, 1, kWidth}, -2.0F, 2.0F);
  make.add(att + "a0", {1, 1, kWidth}, 0.0F, 0.5F);
  if (!first_layer) make.add(att + "v0", {1, 1, kWidth}, 0.5F, 0.5F);
  for (const char* lora : {"w", "a", "v", "g"}) {
    if (first_layer && *lora == 'v') continue;
    make.add(att + lora + "1", {kWidth, kRank}, 0, 0.2F);
    make.add(att + lora + "2", {kRank, kWidth}, 0, 0.6F);
  }
  make.add(att + "k_k", {1, 1, kWidth}, 0.85F, 0.1F);
  make.add(att + "k_a", {1, 1, kWidth}, 1.0F, 0.1F);
  make.add(att + "r_k", {1, kWidth}, 0.0F, 0.2F);
  for (const char* name : {"receptance", "key", "value", "output"}) {
    make.matrix(att + name + ".weight", kWidth, kWidth, 1.5F);
  }
  make.norm(att + "ln_x");
}

// Ids 1..256, one for each byte value: printable bytes stand for themselves, the others for two
// letters, so that whatever the model says is text.
std::string ascii_vocabulary() {
  std::string text;
  unsigned pairs = 0;
  for (unsigned byte = 0; byte < 256; ++byte) {
    std::string literal;
    std::size_t length = 1;
    if (byte == '\n') {
      literal = "\\n";
    } else if (byte == '\'' || byte == '\\') {
      literal = std::string("\\") + static_cast<char>(byte);
    } else if (byte >= 0x20 && byte < 0x7f) {
      literal = std::string(1, static_cast<char>(byte));
    } else {
      literal = {static_cast<char>('a' + pairs / 26), static_cast<char>('a' + pairs % 26)};
      length = 2;
      ++pairs;
    }
    text += std::to_string(byte + 1) + " '" + literal + "' " + std::to_string(length) + "\n";
  }
  return text;
}

}  // namespace

TinyModel tiny_model(std::uint64_t seed, unsigned version) {
  Maker make(seed);
  make.matrix("emb.weight", kVocab, kWidth, 8.0F);
  for (std::uint32_t layer = 0; layer < kLayers; ++layer) {
    const std::string block = "blocks." + std::to_string(layer) + ".";
    if (layer == 0) make.norm(block + "ln0");
    make.norm(block + "ln1");
    make.norm(block + "ln2");
    add_time_mix(make, block + "att.", layer == 0);
    make.add(block + "ffn.x_k", {1, 1, kWidth}, 0.5F, 0.5F);
    const std::uint64_t shared = make.state();
    if (layer + 1 == kLayers) make.reseed(shared + version);
    make.matrix(block + "ffn.key.weight", kFfn, kWidth, 1.5F);
    make.matrix(block + "ffn.value.weight", kWidth, kFfn, 1.5F);
    make.reseed(shared + 0x1000);
  }
  make.norm("ln_out");
  make.matrix("head.weight", kVocab, kWidth, 3.0F);
  TinyModel model = make.take();
  model.vocabulary = ascii_vocabulary();
  return model;
}

}  // namespace skein
