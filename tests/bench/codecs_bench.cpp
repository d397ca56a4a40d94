// How fast coded pages are decoded and made, one thread, best of several rounds, on codes drawn
// from the distributions that weights have. Not part of `all`:
//   cmake --build --preset release --target codecs_bench && build/release/bin/codecs_bench
// Or the bytes of files as bf16, alone or as the difference from a base:
//   build/release/bin/codecs_bench FILE [BASE]
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <random>

#include "kernels/codecs/coded_page.h"
#include "kernels/codecs/elements.h"
#include "kernels/isa/isa.h"
#include "tests/support/best_seconds.h"

namespace skein {
namespace {

constexpr int kRounds = 15;
constexpr std::size_t kPages = 64;

double best_seconds(const std::function<void()>& body) { return test::best_seconds(kRounds, body); }

struct Case {
  const char* name;
  double deviation;       // of the codes, in steps
  int low, high;          // where they are cut off
  std::uint32_t classes;  // contexts, by column
};

constexpr Case kCases[] = {
    {"int8, deviation 32", 32, -127, 127, 1},
    {"u6, deviation 12", 12, -32, 31, 1},
    {"u5, deviation 6", 6, -16, 15, 1},
    {"u4, deviation 3", 3, -8, 7, 1},
    {"ECSQ 3.05 bits", 2, -112, 111, 1},
    {"ECSQ 3.05 bits, 16 contexts", 2, -112, 111, 16},
    {"ECSQ 2.1 bits, 16 contexts", 1, -112, 111, 16},
    {"int8, 16 contexts", 32, -127, 127, 16},
};

void bench(const Case& of, std::size_t codes_per_page) {
  std::mt19937 random(1);
  std::normal_distribution<double> normal;
  std::vector<std::uint8_t> contexts(of.classes == 1 ? 0 : 2048);
  for (std::uint8_t& value : contexts) value = static_cast<std::uint8_t>(random() % of.classes);
  std::vector<std::uint8_t> codes(kPages * codes_per_page);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const double scale =
        contexts.empty() ? 1 : std::exp2((contexts[i % codes_per_page % 2048] - 7.5) / 8);
    const double code = std::nearbyint(normal(random) * of.deviation * scale);
    codes[i] = static_cast<std::uint8_t>(std::clamp<int>(static_cast<int>(code), of.low, of.high) -
                                         of.low);
  }
  CodecMemory memory;
  std::vector<Buffer> pages(kPages, Buffer(coded_page_bound(codes_per_page)));
  std::size_t bytes = 0;
  const double made = best_seconds([&] {
    bytes = 0;
    for (std::size_t p = 0; p < kPages; ++p) {
      pages[p].resize(coded_page_bound(codes_per_page));
      pages[p].resize(encode_page(std::span(codes).subspan(p * codes_per_page, codes_per_page),
                                  {contexts}, memory, pages[p]));
      bytes += pages[p].size();
    }
  });
  std::printf("%-30s %7zu codes a page: %.3f bits; encode %.0f M/s; decode", of.name,
              codes_per_page, 8.0 * static_cast<double>(bytes) / static_cast<double>(codes.size()),
              static_cast<double>(codes.size()) / made * 1e-6);
  std::vector<std::uint8_t> out(codes_per_page);
  for (const Isa isa : supported_isas()) {
    if (!select_isa(name_of(isa))) continue;
    const double seconds = best_seconds([&] {
      for (const Buffer& page : pages) {
        if (!decode_page(page, {contexts}, memory, out)) std::printf(" WRONG");
      }
    });
    std::printf("  %s %.2f", std::string(name_of(isa)).c_str(),
                static_cast<double>(codes.size()) / seconds * 1e-9);
  }
  std::printf(" G/s\n");
}

constexpr std::size_t kElementPage = 256 * 1024;

void bench_elements(const char* name, Element element, ByteView raw, ByteView base) {
  CodecMemory memory;
  std::vector<Buffer> pages(raw.size() / kElementPage);
  Buffer room(elements_room(kElementPage));
  const auto part = [](ByteView all, std::size_t p) {
    return all.empty() ? all : all.subspan(p * kElementPage, kElementPage);
  };
  std::size_t bytes = 0;
  const double made = best_seconds([&] {
    bytes = 0;
    for (std::size_t p = 0; p < pages.size(); ++p) {
      const std::size_t size = encode_elements(element, part(raw, p), part(base, p), memory, room);
      pages[p] = to_buffer(ByteView(room).first(size));
      bytes += size;
    }
  });
  const auto total = static_cast<double>(pages.size() * kElementPage);
  std::printf("%-34s ratio %.3f; encode %.2f GB/s; decode", name,
              total / static_cast<double>(bytes), total / made * 1e-9);
  Buffer out(kElementPage);
  for (const Isa isa : supported_isas()) {
    if (!select_isa(name_of(isa))) continue;
    const double seconds = best_seconds([&] {
      for (std::size_t p = 0; p < pages.size(); ++p) {
        if (!decode_elements(element, pages[p], part(base, p), memory, out)) std::printf(" WRONG");
      }
    });
    std::printf("  %s %.2f", std::string(name_of(isa)).c_str(), total / seconds * 1e-9);
  }
  std::printf(" GB/s\n");
}

Buffer bfloats(double change) {
  std::mt19937 random(1);
  std::mt19937 other(2);
  std::normal_distribution<double> normal(0, 0.02);
  std::normal_distribution<double> moved(0, 0.02 * change);
  Buffer bytes;
  for (std::size_t i = 0; i < (std::size_t{1} << 22); ++i) {
    const auto value = static_cast<float>(normal(random) + (change > 0 ? moved(other) : 0.0));
    append_le(bytes, static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16));
  }
  return bytes;
}

Buffer file(const char* path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  return to_buffer(text);
}

}  // namespace
}  // namespace skein

int main(int argc, char** argv) {
  using namespace skein;
  if (argc > 1) {
    bench_elements(argv[1], Element::kBf16, file(argv[1]), argc > 2 ? file(argv[2]) : Buffer());
    return 0;
  }
  const Buffer base = bfloats(0);
  bench_elements("bf16, normal", Element::kBf16, base, {});
  bench_elements("bf16, changed by 1e-3 of deviation", Element::kBf16, bfloats(1e-3), base);
  bench_elements("bf16, changed by 1e-2 of deviation", Element::kBf16, bfloats(1e-2), base);
  bench_elements("the same as f16", Element::kF16, base, {});
  bench_elements("the same as f32", Element::kF32, base, {});
  for (const Case& of : kCases) {
    for (const std::size_t count : {std::size_t{1} << 14, std::size_t{1} << 17}) bench(of, count);
  }
}
