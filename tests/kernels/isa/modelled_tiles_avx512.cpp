// Compiled with the flags of kernels/isa/avx512.cpp.
#include "kernels/isa/internal/matrix_tiles.h"
#include "tests/kernels/isa/modelled_tiles.h"
#include "tests/support/tile_model.h"

namespace skein::test {
const ModelledTiles kModelledTilesAvx512 = {matrix_tiles<TileModel, 8>, matrix_tiles<TileModel, 6>,
                                            matrix_tiles<TileModel, 5>, matrix_tiles<TileModel, 4>};
}  // namespace skein::test
