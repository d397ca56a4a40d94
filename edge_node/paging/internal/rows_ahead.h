// RowsAhead: rows on their way before they are known to be wanted, into a buffer that never grows:
// half of it for the matrix at hand, half for the next one. What goes wrong here is no error: a row
// whose bytes are not right when it is wanted is read again. Owned by a NeuronCache; one thread.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "common/env/env.h"
#include "edge_node/paging/internal/aligned_memory.h"
#include "edge_node/paging/internal/row_table.h"
#include "edge_node/paging/pager_counters.h"

namespace skein::paging {

class RowsAhead {
 public:
  RowsAhead(std::uint64_t bytes, std::uint32_t most_rows, std::unique_ptr<BlockReads> reads,
            PagerCounters& counters);

  // Begins to read rows of the table of that index, increasing, as many as there is room for;
  // those that lie between two of one read come along. Never the table at hand.
  void begin(const RowTable& table, std::uint32_t index, std::span<const std::uint32_t> rows,
             std::uint64_t gap);
  // What is queued goes on to the device.
  void poll();

  // The table of that index is at hand from now on, until release().
  void take(std::uint32_t index);
  void release();
  // Of the table at hand, or another: where the row lies, or will lie; nullptr: it does not.
  const std::byte* at(std::uint32_t row) const;
  bool has(std::uint32_t index, std::uint32_t row) const;
  bool was_guessed(std::uint32_t row) const;  // of the table at hand: it did not come along only
  // Nothing of the table at hand is out any more. Errc::kDeadline.
  bool is_reading() const { return held_ != kNone && slots_[held_].reading != 0; }
  Result<void> wait();
  // Reads a row of the table at hand once more, to where it lies. Errors as BlockReads'.
  Result<void> read_again(const RowTable& table, std::uint32_t row);

 private:
  static constexpr std::uint32_t kNone = ~0U;
  static constexpr std::uint64_t kAgain = ~0ULL;  // a tag
  static constexpr std::size_t kMostReads = 1024;
  struct Slot {
    MutableByteView memory;
    std::uint32_t table = kNone;
    std::uint64_t used = 0;
    std::uint32_t reading = 0;
    std::vector<const std::byte*> at;   // of its rows
    std::vector<std::uint8_t> guessed;  // of its rows
  };
  std::uint32_t slot_of(std::uint32_t index) const;
  std::uint32_t free_slot();
  bool collect(std::size_t at_least);

  PagerCounters& counters_;
  AlignedMemory memory_;
  std::array<Slot, 2> slots_;
  std::uint32_t held_ = kNone;      // the slot of the table at hand
  std::vector<BlockRead> planned_;  // scratch
  Result<void> again_;
  bool again_out_ = false;
  std::unique_ptr<BlockReads> reads_;  // last: gone before the memory that it writes to
};

}  // namespace skein::paging
