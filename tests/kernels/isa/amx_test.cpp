// The tile unit's products against the scalar reference, bit for bit: over a model of the unit on
// every machine, and as compiled for AMX wherever there is AVX-512, with the tile instructions
// trapped and modelled. Where the CPU has AMX, same_bits_test.cpp runs the instructions themselves.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "kernels/isa/internal/amx_cpu.h"
#include "kernels/ops/reference.h"
#include "tests/kernels/isa/modelled_tiles.h"
#include "tests/support/stored_matrix.h"
#if defined(__x86_64__)
#include "kernels/isa/internal/tables.h"
#include "tests/kernels/isa/trapped_tiles.h"
#endif

namespace skein {
namespace {

using test::InputRows;
using test::ModelledTiles;
using test::random_floats;
using test::StoredMatrix;

constexpr Format kFormats[] = {Format::kQ8, Format::kQ6, Format::kQ5, Format::kQ4};
constexpr ModelledTiles kReference = {reference::tiles_q8, reference::tiles_q6, reference::tiles_q5,
                                      reference::tiles_q4};

KernelTable::Tiles kernel_of(const ModelledTiles& kernels, Format format) {
  if (format == Format::kQ8) return kernels.q8;
  if (format == Format::kQ6) return kernels.q6;
  return format == Format::kQ5 ? kernels.q5 : kernels.q4;
}

// Outputs of whole tiles, further apart than they need be: what lies between stays as it was.
std::vector<float> outputs(KernelTable::Tiles kernel, const StoredMatrix& w, const InputRows& x) {
  const MatrixView view = w.view();
  const std::uint32_t tiles = (view.rows + kTileRows - 1) / kTileRows;
  const std::size_t stride = std::size_t{tiles} * kTileRows + 5;
  std::vector<float> y(stride * x.rows, -1);
  const Inputs inputs = x.view();
  kernel({view.blocks[0].data, tiles, &inputs, y.data(), stride});
  return y;
}

void expect_reference(const ModelledTiles& kernels, const StoredMatrix& w, const InputRows& x) {
  const Format format = w.view().format;
  SCOPED_TRACE(testing::Message() << name_of(format) << " " << w.view().rows << " x "
                                  << w.view().cols << " x " << x.rows);
  const std::vector<float> expected = outputs(kernel_of(kReference, format), w, x);
  const std::vector<float> got = outputs(kernel_of(kernels, format), w, x);
  EXPECT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0);
}

void expect_reference_on_odd_shapes(const ModelledTiles& kernels, unsigned seed, int rounds) {
  std::mt19937 shapes(seed);
  for (int round = 0; round < rounds; ++round) {
    const auto rows = static_cast<std::uint32_t>(1 + shapes() % 90);
    const auto cols = static_cast<std::uint32_t>(1 + shapes() % 700);
    const std::size_t count = 1 + static_cast<std::size_t>(round) % 20;
    const InputRows x(random_floats(cols * count, shapes()), cols);
    for (const Format format : kFormats) {
      expect_reference(kernels, StoredMatrix(format, Layout::kTiles, rows, cols, shapes()), x);
    }
  }
}

// One block of 16, a pair of them, a strip of pairs; just below, just above, and with rests.
void expect_reference_around_blocks(const ModelledTiles& kernels) {
  for (const std::size_t count : {15U, 16U, 17U, 31U, 32U, 33U, 48U, 63U, 64U, 65U, 100U}) {
    const InputRows x(random_floats(130 * count, count), 130);
    for (const Format format : kFormats) {
      expect_reference(kernels, StoredMatrix(format, Layout::kTiles, 48, 130, 9), x);
    }
  }
}

// Any bytes are codes, also q8's -128, and zero points. Scales are left as they are: a q8 scale
// may be no number, whose bits differ.
void expect_reference_of_any_bytes(const ModelledTiles& kernels) {
  std::mt19937 random(6);
  for (const Format format : kFormats) {
    for (const float end : {3.0F, -3.0F}) {
      StoredMatrix w(format, Layout::kTiles, 32, 96, 5);
      const MutableByteView bytes = w.bytes();
      const std::size_t group = bytes.size() / 6;
      const std::size_t head = format == Format::kQ8 ? 32 : 0;
      for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (i % group >= head) bytes[i] = static_cast<std::byte>(i < group ? 0x80 : random());
      }
      expect_reference(kernels, w, InputRows(std::vector<float>(std::size_t{96} * 3, end), 96));
    }
  }
}

void expect_reference_everywhere(const ModelledTiles& kernels) {
  expect_reference_on_odd_shapes(kernels, 1, 60);
  expect_reference_around_blocks(kernels);
  expect_reference_of_any_bytes(kernels);
}

TEST(Amx, AModelOfTheUnitGivesTheReferencesBits) {
  expect_reference_everywhere(test::kModelledTiles);
}

TEST(Amx, NeedsBothFeaturesAndBothPartsOfTheState) {
  constexpr std::uint32_t kFeatures = 3U << 24;
  constexpr std::uint64_t kState = 3U << 17 | 7U;
  EXPECT_TRUE(has_amx_int8({.features = kFeatures, .saved_state = kState}));
  for (const unsigned bit : {24U, 25U}) {
    EXPECT_FALSE(has_amx_int8({.features = kFeatures & ~(1U << bit), .saved_state = kState}));
  }
  for (const unsigned bit : {17U, 18U}) {
    EXPECT_FALSE(has_amx_int8({.features = kFeatures, .saved_state = kState & ~(1U << bit)}));
  }
  EXPECT_FALSE(has_amx_int8({}));
}

#if defined(__x86_64__)

bool cpu_has(Isa isa) {
  const std::vector<Isa> isas = supported_isas();
  return std::ranges::find(isas, isa) != isas.end();
}

ModelledTiles compiled() {
  return {kAmxKernels.tiles_q8, kAmxKernels.tiles_q6, kAmxKernels.tiles_q5, kAmxKernels.tiles_q4};
}

TEST(Amx, AModelOfTheUnitAmongAvx512GivesTheReferencesBits) {
  if (!cpu_has(Isa::kAvx512)) GTEST_SKIP() << "this CPU has no AVX-512";
  expect_reference_everywhere(test::kModelledTilesAvx512);
}

TEST(Amx, TheCompiledKernelsGiveTheReferencesBits) {
  if (!cpu_has(Isa::kAvx512)) GTEST_SKIP() << "this CPU has no AVX-512";
  if (cpu_has(Isa::kAmx)) return expect_reference_everywhere(compiled());
  const test::TrappedTiles trap;
  expect_reference_everywhere(compiled());
  EXPECT_FALSE(trap.configured());  // released: nothing to save when a thread is switched out
}

TEST(Amx, TheUnitMultipliesEightInputsAndNotOne) {
  if (!cpu_has(Isa::kAvx512)) GTEST_SKIP() << "this CPU has no AVX-512";
  if (cpu_has(Isa::kAmx)) GTEST_SKIP() << "this CPU's tile instructions cannot be counted";
  for (const Format format : kFormats) {
    const test::TrappedTiles trap;
    const StoredMatrix w(format, Layout::kTiles, 48, 200, 3);
    outputs(kernel_of(compiled(), format), w, InputRows(random_floats(200, 4)));
    EXPECT_EQ(trap.products(), 0U);
    outputs(kernel_of(compiled(), format), w, InputRows(random_floats(200 * 8, 4), 200));
    EXPECT_EQ(trap.products(), 3U * 7U);  // tiles, groups
  }
}

TEST(Amx, WithoutItsNameIsRefusedAndAnotherIsBest) {
  if (cpu_has(Isa::kAmx)) {
    EXPECT_EQ(select_isa("").value(), Isa::kAmx);
    return;
  }
  const auto refused = select_isa("amx");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUsage);
  EXPECT_NE(select_isa("").value(), Isa::kAmx);
}

#endif

}  // namespace
}  // namespace skein
