// How fast the kernels read weights, beside how fast this machine reads memory: one thread, a
// matrix far larger than the last-level cache, best of several rounds. Not part of `all`:
//   cmake --build --preset release --target kernels_bench && build/release/bin/kernels_bench [MiB]
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <functional>
#include <random>

#include "kernels/isa/isa.h"
#include "kernels/ops/activations.h"
#include "kernels/ops/norm.h"
#include "kernels/ops/wkv.h"
#include "tests/support/best_seconds.h"
#include "tests/support/stored_matrix.h"

namespace skein {
namespace {

constexpr int kRounds = 9;

double best_seconds(const std::function<void()>& body) { return test::best_seconds(kRounds, body); }

// A wide sum over the whole buffer: what reading costs when nothing else is done.
double read_bandwidth(const std::vector<test::CacheLine>& buffer) {
  using Wide = std::uint64_t __attribute__((vector_size(64)));
  volatile std::uint64_t sink = 0;
  const double seconds = best_seconds([&] {
    Wide sums[4] = {};
    for (std::size_t i = 0; i + 4 <= buffer.size(); i += 4) {
      for (std::size_t part = 0; part < 4; ++part) {
        Wide line;
        std::memcpy(&line, &buffer[i + part], sizeof line);
        sums[part] += line;
      }
    }
    const Wide all = sums[0] + sums[1] + sums[2] + sums[3];
    sink = sink + all[0] + all[7];
  });
  return static_cast<double>(buffer.size() * sizeof(test::CacheLine)) / seconds;
}

constexpr Format kFormats[] = {Format::kF32, Format::kBf16, Format::kF16, Format::kQ8,
                               Format::kQ6,  Format::kQ5,   Format::kQ4};
constexpr std::uint32_t kCols = 2048;

std::string label(const char* what, Format format) {
  char text[80];
  std::snprintf(text, sizeof text, "%-7s %-26s %-5s", std::string(name_of(current_isa())).c_str(),
                what, std::string(name_of(format)).c_str());
  return text;
}

// The same bytes seen as a matrix of each format; their values do not matter to the clock.
void bench_tiles(const std::vector<test::CacheLine>& buffer, Format format, double bandwidth) {
  const std::uint64_t total = buffer.size() * sizeof(test::CacheLine);
  const auto rows = static_cast<std::uint32_t>(
      total / stored_bytes(format, Layout::kRows, 1, kCols) / kTileRows * kTileRows);
  const RowBlock block = {buffer[0].bytes, 0, rows};
  SerialParallel serial;
  const auto seconds_for = [&](std::uint32_t inputs, std::uint32_t of_rows) {
    const MatrixView w = {format, Layout::kTiles, of_rows, kCols, std::span(&block, 1)};
    const test::InputRows x(test::random_floats(std::size_t{inputs} * kCols, 1), kCols);
    std::vector<float> y(std::size_t{inputs} * of_rows);
    const Product product = {w, x.view(), y.data()};
    return best_seconds([&] { matmul(std::span(&product, 1), serial); });
  };
  const double rate =
      static_cast<double>(stored_bytes(format, Layout::kTiles, rows, kCols)) / seconds_for(1, rows);
  std::printf("%s %7.2f GB/s  %5.1f %% of reading\n", label("one input", format).c_str(),
              rate * 1e-9, 100 * rate / bandwidth);
  for (const std::uint32_t inputs : {4U, 16U, 64U}) {
    const double products = 2048.0 * kCols * inputs;
    char what[32];
    std::snprintf(what, sizeof what, "%u inputs", inputs);
    std::printf("%s %7.1f G products/s\n", label(what, format).c_str(),
                products / seconds_for(inputs, 2048) * 1e-9);
  }
}

// Blocks of neurons as decoding meets them: the next block's rows are fetched meanwhile.
void bench_neurons(const std::vector<test::CacheLine>& buffer, Format format, double share,
                   double bandwidth) {
  const std::uint64_t total = buffer.size() * sizeof(test::CacheLine);
  const std::uint64_t row_bytes = stored_bytes(format, Layout::kRows, 1, kCols);
  const auto rows = static_cast<std::uint32_t>(total / row_bytes / kNeuronBlock * kNeuronBlock);
  const RowBlock block = {buffer[0].bytes, 0, rows};
  const MatrixView w = {format, Layout::kRows, rows, kCols, std::span(&block, 1)};
  std::vector<float> h = test::random_floats(rows, 2);
  std::mt19937 random(1);
  for (float& value : h) {
    const bool fires = static_cast<double>(random() & 0xFFFFFFFFU) < share * 4294967296.0;
    value = fires ? value * value + 1e-6F : 0;
  }
  const std::vector<float> bounds(rows, 1);
  std::vector<float> y(kCols);
  std::uint64_t read = 0;
  const double seconds = best_seconds([&] {
    read = 0;
    for (std::uint32_t i = 0; i < neuron_blocks_of(rows); ++i) {
      read += add_neuron_block({w, bounds}, i, h, y.data());
    }
  });
  char what[32];
  std::snprintf(what, sizeof what, "%.0f %% of neurons", share * 100);
  const double rate = static_cast<double>(read * row_bytes) / seconds;
  std::printf("%s %7.2f GB/s  %5.1f %% of reading\n", label(what, format).c_str(), rate * 1e-9,
              100 * rate / bandwidth);
}

void bench_small() {
  const std::uint32_t size = 64;
  std::vector<float> state(std::size_t{32} * size * size);
  const std::vector<float> in = test::random_floats(6 * size, 2, 0.1F);
  std::vector<float> y(size);
  std::vector<WkvHead> heads;
  for (std::size_t i = 0; i < 32; ++i) {
    heads.push_back({&state[i * size * size], &in[0], &in[64], &in[128], &in[192], &in[256],
                     &in[320], y.data(), size});
  }
  std::vector<float> x = test::random_floats(2048, 3);
  const std::vector<float> ones(2048, 1.0F);
  std::vector<float> out(2048);
  const double update = best_seconds([&] {
    for (const WkvHead& head : heads) wkv(head);
  });
  const double sigmoid = best_seconds([&] { sigmoid_all(x); });
  const double norm = best_seconds([&] { layer_norm(x, {ones, ones, 1e-5F}, out); });
  test::InputRows rows(x);
  const double quantized =
      best_seconds([&] { quantize_input(rows.values, {rows.codes, rows.scales, rows.sums}); });
  std::printf(
      "%-7s wkv, 32 heads of 64: %.1f us; of 2048: sigmoid %.2f, layer norm %.2f, "
      "quantize %.2f us\n",
      std::string(name_of(current_isa())).c_str(), update * 1e6, sigmoid * 1e6, norm * 1e6,
      quantized * 1e6);
}

}  // namespace
}  // namespace skein

int main(int argc, char** argv) {
  using namespace skein;
  std::size_t mebibytes = 512;
  if (argc > 1) std::from_chars(argv[1], argv[1] + std::strlen(argv[1]), mebibytes);
  std::vector<test::CacheLine> buffer(mebibytes * 16384);
  std::memset(buffer.data(), 0x11, buffer.size() * sizeof(test::CacheLine));
  const double bandwidth = read_bandwidth(buffer);
  std::printf("reading %zu MiB: %.2f GB/s\n", mebibytes, bandwidth * 1e-9);
  for (const Isa isa : supported_isas()) {
    if (isa == Isa::kScalar || !select_isa(name_of(isa))) continue;
    for (const Format format : kFormats) {
      bench_tiles(buffer, format, bandwidth);
      bench_neurons(buffer, format, 1, bandwidth);
      bench_neurons(buffer, format, 0.13, bandwidth);
    }
    bench_small();
  }
}
