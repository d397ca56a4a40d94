// ReadCost: what reads of a file cost here, as measured when it was opened: so much each, and so
// much a byte. Value.
#pragma once

#include <span>

#include "common/env/env.h"
#include "edge_node/paging/internal/row_table.h"

namespace skein::paging {

struct ReadCost {
  static constexpr std::uint64_t kUsualGap = 2048;  // where nothing was measured
  static constexpr std::uint64_t kMostGap = 2048;
  static constexpr std::uint64_t kMostWideGap = 65536;

  double each = 0;  // seconds, with as many out as the device takes
  double byte = 0;  // seconds
  // Bytes not wanted that cost a third of what another read does: they take memory and the CPU,
  // too.
  std::uint64_t gap() const;
  // Bytes that cost as much as another read: where most of what lies there is wanted.
  std::uint64_t wide_gap() const;
};

// Some reads of single rows all over the tables, some long ones. Takes milliseconds on a fast
// device and half a second on a slow one at most; a clock that stands still measures nothing.
// `memory` is aligned as reads are. An error is a read's.
Result<ReadCost> measure_reads(BlockReads& reads, Clock& clock, std::span<const RowTable> tables,
                               MutableByteView memory);

}  // namespace skein::paging
