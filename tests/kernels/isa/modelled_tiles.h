// The tile unit's products over tests/support/tile_model.h instead of the instructions.
#pragma once

#include "kernels/isa/kernel_table.h"

namespace skein::test {

struct ModelledTiles {
  KernelTable::Tiles q8;
  KernelTable::Tiles q6;
  KernelTable::Tiles q5;
  KernelTable::Tiles q4;
};

extern const ModelledTiles kModelledTiles;        // for any CPU
extern const ModelledTiles kModelledTilesAvx512;  // with the flags of kernels/isa/amx.cpp but AMX's

}  // namespace skein::test
