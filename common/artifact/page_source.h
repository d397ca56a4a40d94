// PageSource: where a model takes its pages from: an artifact file, a slot's chunk store, or
// memory. The caller owns it and keeps it alive for as long as any view it gave. One thread at a
// time. PagedTensors: those of its tensors that are not in memory as a whole.
#pragma once

#include "common/artifact/manifest.h"
#include "common/coding/page_coding.h"
#include "kernels/ops/matmul.h"

namespace skein {

// Tensors whose rows are asked for as a pass over the weights comes to them. A pass is one
// thread's, from begin() to end(); another's begin() waits. Tensors are told by their index in the
// manifest. An error (Errc::kInput, kCorrupt) names the page; the pass ends with it.
class PagedTensors {
 public:
  // What a pass will meet: layers [first, last), then all of the head. One that asks for the head's
  // rows all the same begins its reads anew.
  struct Walk {
    std::uint32_t first = 0;
    std::uint32_t last = 0;
    bool head = false;
    friend bool operator==(const Walk&, const Walk&) = default;
  };
  // Rows of neurons [first, first + count): `at` of each that was wanted is where it lies,
  // verified.
  struct Neurons {
    std::span<const std::byte* const> at;  // of all neurons
    std::uint32_t first = 0;
    std::uint32_t count = 0;
  };

  // Tiles of a kTiles tensor (kTileRows rows each), in order.
  struct Tiles {
    std::span<const RowBlock> runs;  // of neighbours
    std::uint32_t next = 0;          // the tile from which the others are to be had
  };

  // What is known before a layer of a pass's rows.
  struct LayerInput {
    std::uint32_t layer = 0;
    std::span<const float> x;             // (rows, width): the residual stream
    std::span<const float* const> shift;  // of each row, (width): what the channel mix's token
                                          // shift keeps; nullptr: the row before will tell
  };

  virtual ~PagedTensors() = default;
  virtual bool is_paged(std::uint32_t tensor) const = 0;

  // `parallel` is lent until end().
  virtual void begin(const Walk& walk, Parallel& parallel) = 0;
  virtual void end() = 0;

  // The pass has come to a layer: what its neurons will be can be guessed. Does not wait.
  virtual void layer_begins(const LayerInput& /*input*/) {}

  // The blocks of a kTiles tensor from row `first` on that are in memory at once, verified: at
  // least one. Waits for them. Valid until the next call of this or end().
  virtual Result<std::span<const RowBlock>> rows_from(std::uint32_t tensor,
                                                      std::uint32_t first) = 0;
  // Of head.weight, which a screen (PageSource::holds_screen) left few tiles of: those from tile
  // `first` on that have a byte other than zero in `wanted`, as many as memory holds at once; no
  // runs: there are no more. No others are read. From tile 0 on, with the same `wanted`; valid
  // until the next call of any of these.
  virtual Result<Tiles> tiles_from(std::uint32_t tensor, std::span<const std::uint8_t> wanted,
                                   std::uint32_t first) = 0;
  // What a pass wants of a neuron-major kRows tensor: a byte a neuron, zero for the silent ones.
  // Does not wait. The span stays valid until the last row was taken.
  virtual void want(std::uint32_t tensor, std::span<const std::uint8_t> wanted) = 0;
  // The wanted rows from neuron `first` on, a multiple of kNeuronBlock: as many whole blocks as
  // memory holds at once, at least one. Waits for them. Valid until the next call of any of these.
  virtual Result<Neurons> neurons_from(std::uint32_t first) = 0;
};

class PageSource {
 public:
  virtual ~PageSource() = default;
  virtual const Manifest& manifest() const = 0;
  // The page's bytes, verified against its hash (or made in this process), 64-byte aligned, valid
  // as long as the source lives. A damaged page is Errc::kCorrupt naming the page, never returned.
  virtual Result<ByteView> page(PageIndex index) = 0;
  // Copies bytes [offset, offset + out.size()) of a page, verified likewise, and where it can keeps
  // none of it in memory. Errc::kCorrupt when the page ends before.
  virtual Result<void> read(PageIndex index, std::uint64_t offset, MutableByteView out);
  // nullptr: every page can be had whole. Lives as long as the source; page() is not asked for
  // pages of paged tensors.
  virtual PagedTensors* paged() { return nullptr; }
  // Whether the head's screen (kHeadScreen) is to be had, where the artifact has one.
  virtual bool holds_screen() const { return true; }
  // Of a pass: what is computed in has room for no more.
  virtual std::uint32_t most_rows() const { return ~0U; }
};

// What read() does with a page's verified bytes.
Result<void> copy_from_page(ByteView page, PageIndex index, std::uint64_t offset,
                            MutableByteView out);

// What each page holds, by offset: what PageCoder::code is told.
std::vector<std::vector<PageSegment>> parts_of_pages(const Manifest& manifest);

}  // namespace skein
