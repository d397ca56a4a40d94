// Compiled with avx512.cpp's flags, -mamx-tile and -mamx-int8. Products of several inputs go to the
// tile unit; few are faster without.
#include "kernels/isa/internal/matrix_tiles.h"
#include "kernels/isa/internal/tables.h"
#include "kernels/isa/internal/vector_kernels.h"

namespace skein {
namespace {

// The shapes belong to the thread. Released after each call, so that a thread that is switched out
// between calls has no tiles to be saved.
struct AmxUnit {
  SKEIN_INLINE static void configure(const TileShapes* shapes) { _tile_loadconfig(shapes); }
  template <int tile>
  SKEIN_INLINE static void zero() {
    _tile_zero(tile);
  }
  template <int tile>
  SKEIN_INLINE static void load(const void* at, std::size_t stride) {
    _tile_loadd(tile, at, stride);
  }
  template <int sums, int left, int right>
  SKEIN_INLINE static void dot() {
    _tile_dpbssd(sums, left, right);
  }
  template <int tile>
  SKEIN_INLINE static void store(void* at, std::size_t stride) {
    _tile_stored(tile, at, stride);
  }
  SKEIN_INLINE static void release() { _tile_release(); }
};

// For fewer inputs, unpacking a group costs more than the unit can save: on Zen 4, a unit that took
// no time at all would make 0.8 to 0.9 times avx512's products for two inputs of q6 to q4, 1.1 to
// 1.2 times for four, 1.8 times for eight; for two of q8, which is not unpacked, 1.5 times.
template <unsigned bits>
constexpr std::uint32_t kFewestInputs = bits == 8 ? 2 : 8;

template <unsigned bits>
void amx_tiles(const TileProduct& product) {
  if (product.x->rows < kFewestInputs<bits>) return grouped_tiles<bits>(product);
  matrix_tiles<AmxUnit, bits>(product);
}

constexpr KernelTable with_tile_unit(KernelTable table) {
  table.tiles_q8 = amx_tiles<8>;
  table.tiles_q6 = amx_tiles<6>;
  table.tiles_q5 = amx_tiles<5>;
  table.tiles_q4 = amx_tiles<4>;
  return table;
}

}  // namespace

const KernelTable kAmxKernels = with_tile_unit(kVectorKernels);

}  // namespace skein
