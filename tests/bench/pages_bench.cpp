// How small an artifact's pages become and how fast they are coded and decoded again, one thread,
// each page's best of several rounds. Not part of `all`:
//   cmake --build --preset release --target pages_bench && build/release/bin/pages_bench
//   FILE.skein...
#include <algorithm>
#include <cstdio>
#include <fstream>

#include "common/artifact/artifact_file.h"
#include "common/crypto/sha256.h"
#include "kernels/isa/isa.h"
#include "tests/support/best_seconds.h"
#include "tests/support/memory_disk.h"

namespace skein {
namespace {

constexpr int kRounds = 15;

std::uint64_t weights_of(const Manifest& manifest) {
  std::uint64_t weights = 0;
  for (const TensorEntry& tensor : manifest.tensors) {
    if (!is_derived(tensor.name)) weights += std::uint64_t{tensor.rows} * tensor.cols;
  }
  return weights;
}

int bench(const char* path) {
  std::ifstream in(path, std::ios::binary);
  test::MemoryDisk disk;
  disk.place("a", to_buffer(std::string(std::istreambuf_iterator<char>(in), {})));
  const auto file = open_artifact(disk, "a");
  if (!file) {
    std::printf("%s: %s\n", path, to_string(file.error()).c_str());
    return 3;
  }
  const Manifest& manifest = (*file)->manifest();
  const auto parts = parts_of_pages(manifest);
  std::vector<bool> of_weights;
  for (const auto& part : parts) of_weights.push_back(!part.empty());
  std::vector<Buffer> pages;
  std::vector<Buffer> coded(parts.size());
  std::uint64_t bytes = 0;
  for (std::uint32_t i = 0; i < parts.size(); ++i) {
    pages.push_back(to_buffer((*file)->page(PageIndex(i)).value()));
    if (of_weights[i]) bytes += pages[i].size();
  }
  PageCoder coder;
  double made = 0;
  for (std::size_t i = 0; i < pages.size(); ++i) {
    if (!of_weights[i]) continue;
    made += test::best_seconds(3, [&] { coded[i] = coder.code(pages[i], parts[i]); });
  }
  std::uint64_t small = 0;
  for (const Buffer& page : coded) small += page.size();
  const auto weights = static_cast<double>(weights_of(manifest));
  std::printf("%s: %.3f -> %.3f bits a weight (%.3f); coded at %.0f M weights/s; decoded", path,
              8 * static_cast<double>(bytes) / weights, 8 * static_cast<double>(small) / weights,
              static_cast<double>(bytes) / static_cast<double>(small), weights / made * 1e-6);
  Buffer out(kMaxPageBytes);
  const auto decode_seconds = [&](bool hash) {
    double seconds = 0;
    for (std::size_t i = 0; i < pages.size(); ++i) {
      if (!of_weights[i]) continue;
      const MutableByteView page = MutableByteView(out).first(pages[i].size());
      seconds += test::best_seconds(kRounds, [&] {
        bool right = coder.decode(coded[i], page).has_value();
        if (hash) right = right && sha256(page) == manifest.pages[i].digest;
        if (!right) std::printf(" WRONG");
      });
    }
    return seconds;
  };
  for (const Isa isa : supported_isas()) {
    if (isa == Isa::kScalar || !select_isa(name_of(isa))) continue;
    const double seconds = decode_seconds(false);
    std::printf("  %s %.2f G weights/s (%.2f GB/s)", std::string(name_of(isa)).c_str(),
                weights / seconds * 1e-9, static_cast<double>(bytes) / seconds * 1e-9);
  }
  const double hashed = decode_seconds(true);
  std::printf("; with its hash %.2f\n", weights / hashed * 1e-9);
  return 0;
}

}  // namespace
}  // namespace skein

int main(int argc, char** argv) {
  int status = 0;
  for (int i = 1; i < argc; ++i) status = std::max(status, skein::bench(argv[i]));
  return status;
}
