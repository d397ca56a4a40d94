// The model of AMX's tile instructions, by what the manual says of them.
#include "tests/support/tile_model.h"

#include <gtest/gtest.h>

#include <array>
#include <random>

#include "kernels/isa/internal/tile_unit.h"

namespace skein {
namespace {

using Rows = std::array<std::array<std::int8_t, 80>, 16>;

Rows random_rows(std::mt19937& random) {
  Rows rows;
  for (auto& row : rows) {
    for (std::int8_t& byte : row) byte = static_cast<std::int8_t>(random());
  }
  return rows;
}

TEST(TileModel, DotsAreSumsOverFourBytesOfEveryQuad) {
  std::mt19937 random(1);
  for (int round = 0; round < 50; ++round) {
    const std::size_t m = 1 + random() % 16;
    const std::size_t n = 1 + random() % 16;
    const std::size_t k = 1 + random() % 16;
    TileShapes shapes;
    shapes.set(0, m, n * 4);
    shapes.set(1, m, k * 4);
    shapes.set(2, k, n * 4);
    test::TileModel model;
    model.configure(&shapes);
    const Rows left = random_rows(random);
    const Rows right = random_rows(random);
    model.load<1>(left.data(), 80);
    model.load<2>(right.data(), 80);
    model.zero<0>();
    model.dot<0, 1, 2>();
    model.dot<0, 1, 2>();  // adds
    std::array<std::array<std::int32_t, 20>, 16> sums{};
    model.store<0>(sums.data(), 80);
    for (std::size_t row = 0; row < 16; ++row) {
      for (std::size_t col = 0; col < 20; ++col) {
        std::int32_t expected = 0;
        for (std::size_t i = 0; row < m && col < n && i < k * 4; ++i) {
          expected += 2 * left[row][i] * right[i / 4][col * 4 + i % 4];
        }
        ASSERT_EQ(sums[row][col], expected);  // also: nothing is stored past the shape
      }
    }
  }
}

TEST(TileModel, ShapesMustFitEachOther) {
  TileShapes shapes;
  shapes.set(0, 4, 64);
  shapes.set(1, 4, 32);
  shapes.set(2, 7, 64);
  test::TileModel model;
  model.configure(&shapes);
  EXPECT_TRUE(model.configured());
  EXPECT_DEATH((model.dot<0, 1, 2>()), "rows");
  EXPECT_DEATH(model.zero<3>(), "rows");  // no shape was given
  model.release();
  EXPECT_DEATH(model.zero<0>(), "configured");
  shapes.set(1, 17, 32);
  EXPECT_DEATH(model.configure(&shapes), "kMaxRows");
}

}  // namespace
}  // namespace skein
