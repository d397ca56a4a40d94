// How fast the kernels read weights, beside how fast this machine reads memory: one thread, a
// matrix far larger than the last-level cache, best of several rounds. Not part of `all`:
//   cmake --build --preset release --target kernels_bench && build/release/bin/kernels_bench [MiB]
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>

#include "kernels/isa/isa.h"
#include "kernels/ops/activations.h"
#include "kernels/ops/norm.h"
#include "kernels/ops/wkv.h"
#include "tests/support/stored_matrix.h"

namespace skein {
namespace {

constexpr int kRounds = 9;

double best_seconds(const std::function<void()>& body) {
  double best = 1e9;
  for (int round = 0; round < kRounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    body();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    best = std::min(best, took.count());
  }
  return best;
}

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
        __builtin_prefetch(reinterpret_cast<const char*>(&buffer[i + part]) + 2048);
      }
    }
    const Wide all = sums[0] + sums[1] + sums[2] + sums[3];
    sink = sink + all[0] + all[7];
  });
  return static_cast<double>(buffer.size() * sizeof(test::CacheLine)) / seconds;
}

// The same bytes seen as a matrix of each format; their values do not matter to the clock.
void bench_matrix(const std::vector<test::CacheLine>& buffer, Format format, Layout layout,
                  double bandwidth) {
  const std::uint32_t cols = 2048;
  const std::uint64_t total = buffer.size() * sizeof(test::CacheLine);
  const auto rows = static_cast<std::uint32_t>(
      total / stored_bytes(format, Layout::kRows, 1, cols) / kTileRows * kTileRows);
  const RowBlock block = {buffer[0].bytes, 0, rows};
  const MatrixView w = {format, layout, rows, cols, std::span(&block, 1)};
  SerialParallel serial;
  double seconds = 0;
  std::uint64_t bytes = stored_bytes(format, layout, rows, cols);
  if (layout == Layout::kTiles) {
    const test::QuantizedVector x(test::random_floats(cols, 1));
    std::vector<float> y(rows);
    seconds = best_seconds([&] { matvec(w, x.view(), y, serial); });
  } else {
    std::vector<float> h = test::random_floats(rows, 2);
    for (float& value : h) value = value > 1 ? 1e-3F : 0;  // 16 % of the neurons fire
    std::vector<std::uint32_t> active(rows);
    std::vector<float> y(cols);
    std::uint32_t read = 0;
    seconds = best_seconds([&] { read = sparse_accumulate(w, h, active, y, serial); });
    bytes = read * stored_bytes(format, layout, 1, cols);
  }
  const double rate = static_cast<double>(bytes) / seconds;
  std::printf("%-7s %-17s %-5s %7.2f GB/s  %5.1f %% of reading\n",
              std::string(name_of(current_isa())).c_str(),
              layout == Layout::kTiles ? "matvec" : "sparse_accumulate",
              std::string(name_of(format)).c_str(), rate * 1e-9, 100 * rate / bandwidth);
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
  SerialParallel serial;
  std::vector<float> x = test::random_floats(2048, 3);
  const std::vector<float> ones(2048, 1.0F);
  std::vector<float> out(2048);
  const double update = best_seconds([&] { wkv(heads, serial); });
  const double sigmoid = best_seconds([&] { sigmoid_all(x); });
  const double norm = best_seconds([&] { layer_norm(x, {ones, ones, 1e-5F}, out); });
  const double quantized = best_seconds([&] { const test::QuantizedVector all(x); });
  std::printf(
      "%-7s wkv, 32 heads of 64: %.1f us; of 2048: sigmoid %.2f, layer norm %.2f, "
      "quantize (with its buffers) %.2f us\n",
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
    for (const Format format : {Format::kF32, Format::kBf16, Format::kF16, Format::kQ8, Format::kQ6,
                                Format::kQ5, Format::kQ4}) {
      bench_matrix(buffer, format, Layout::kTiles, bandwidth);
      bench_matrix(buffer, format, Layout::kRows, bandwidth);
    }
    bench_small();
  }
}
