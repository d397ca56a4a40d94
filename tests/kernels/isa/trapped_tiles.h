// Lets a CPU without AMX run compiled AMX code: while one of these lives, tile instructions, which
// such a CPU refuses by a signal, are decoded and carried out on tests/support/tile_model.h. One at
// a time, one thread.
#pragma once

#include <csignal>
#include <cstddef>

namespace skein::test {

class TrappedTiles {
 public:
  TrappedTiles();
  ~TrappedTiles();
  TrappedTiles(const TrappedTiles&) = delete;
  TrappedTiles& operator=(const TrappedTiles&) = delete;

  std::size_t products() const;  // TDPBSSD so far
  bool configured() const;       // shapes are loaded and not released

 private:
  struct sigaction before_ = {};
};

}  // namespace skein::test
