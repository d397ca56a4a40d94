#include "edge_node/paging/internal/rows_ahead.h"

#include <algorithm>

#include "common/base/check.h"

namespace skein::paging {

RowsAhead::RowsAhead(std::uint64_t bytes, std::uint32_t most_rows,
                     std::unique_ptr<BlockReads> reads, PagerCounters& counters)
    : counters_(counters), memory_(bytes), reads_(std::move(reads)) {
  const std::size_t half = bytes / 2 / BlockReads::kMostAlignment * BlockReads::kMostAlignment;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    slots_[i].memory = memory_.bytes().subspan(i * half, half);
    slots_[i].at.assign(most_rows, nullptr);
    slots_[i].guessed.resize(most_rows);
  }
  planned_.reserve(kMostReads);
}

std::uint32_t RowsAhead::slot_of(std::uint32_t index) const {
  for (std::uint32_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].table == index) return i;
  }
  return kNone;
}

// Not the one at hand; kNone while the device holds on to the other.
std::uint32_t RowsAhead::free_slot() {
  const std::uint32_t free = held_ == 0 ? 1 : 0;
  Slot& slot = slots_[free];
  while (slot.reading > 0) {
    if (!collect(slot.reading)) return kNone;
  }
  slot.table = kNone;
  slot.used = 0;
  std::ranges::fill(slot.at, nullptr);
  return free;
}

void RowsAhead::begin(const RowTable& table, std::uint32_t index,
                      std::span<const std::uint32_t> rows, std::uint64_t gap) {
  if (rows.empty()) return;
  std::uint32_t which = slot_of(index);
  CHECK(which == kNone || which != held_);
  if (which == kNone) which = free_slot();
  if (which == kNone) return;
  Slot& slot = slots_[which];
  planned_.clear();
  RowReads plan(table, reads_->alignment(), gap, slot.memory.subspan(slot.used), planned_);
  std::uint64_t begun = 0;
  std::uint32_t before = 0;
  for (const std::uint32_t row : rows) {
    const RowReads::Row place = plan.add(row);
    if (place.data == nullptr) break;
    slot.at[row] = place.data;
    slot.guessed[row] = 1;
    if (place.joined && table.segment_of(before) == table.segment_of(row)) {
      for (std::uint32_t between = before + 1; between < row; ++between) {
        if (slot.at[between] != nullptr) continue;
        slot.at[between] = place.data - std::size_t{row - between} * table.row_bytes;
        slot.guessed[between] = 0;
      }
    }
    before = row;
    ++begun;
  }
  for (BlockRead& read : planned_) read.tag = which;
  if (!reads_->submit(planned_)) {  // the rows are read when they are wanted
    if (slot.table != index) std::ranges::fill(slot.at, nullptr);
    return;
  }
  slot.table = index;
  slot.used += plan.used();
  slot.reading += static_cast<std::uint32_t>(planned_.size());
  counters_.rows_guessed += begun;
  counters_.row_reads += planned_.size();
  counters_.bytes_read += plan.used();
  counters_.value_bytes += plan.used();
}

// False: storage did not answer in time.
bool RowsAhead::collect(std::size_t at_least) {
  BlockReadDone done[BlockReads::kMostInFlight];
  const std::size_t wanted = std::min<std::size_t>(at_least, std::size(done));
  const std::size_t taken = reads_->wait(done, wanted, at_least == 0 ? Duration{0} : kReadDeadline);
  for (std::size_t i = 0; i < taken; ++i) {
    if (done[i].tag == kAgain) {
      again_ = std::move(done[i].result);
      again_out_ = false;
    } else {
      --slots_[done[i].tag].reading;
    }
  }
  return taken >= wanted;
}

void RowsAhead::poll() {
  if (slots_[0].reading + slots_[1].reading > 0) collect(0);
}

void RowsAhead::take(std::uint32_t index) { held_ = slot_of(index); }

void RowsAhead::release() {
  if (held_ == kNone) return;
  slots_[held_].table = kNone;
  held_ = kNone;
}

const std::byte* RowsAhead::at(std::uint32_t row) const {
  return held_ == kNone ? nullptr : slots_[held_].at[row];
}

bool RowsAhead::was_guessed(std::uint32_t row) const { return slots_[held_].guessed[row] != 0; }

bool RowsAhead::has(std::uint32_t index, std::uint32_t row) const {
  const std::uint32_t which = slot_of(index);
  return which != kNone && slots_[which].at[row] != nullptr;
}

Result<void> RowsAhead::wait() {
  while (is_reading()) {
    if (!collect(slots_[held_].reading)) return silent_storage();
  }
  return {};
}

Result<void> RowsAhead::read_again(const RowTable& table, std::uint32_t row) {
  const std::uint32_t alignment = reads_->alignment();
  const WholeRange range(table.offset_of(row), table.row_bytes, alignment);
  const Slot& slot = slots_[held_];
  const auto at = static_cast<std::size_t>(slot.at[row] - slot.memory.data()) - range.lead;
  const BlockRead read = {range.first, slot.memory.subspan(at, range.size), kAgain};
  const auto finish = [this]() -> Result<void> {
    while (again_out_) {
      if (!collect(1)) return silent_storage();
    }
    return {};
  };
  TRY_VOID(finish());  // one that was given up
  TRY_VOID(reads_->submit({&read, 1}));
  again_out_ = true;
  counters_.bytes_read += range.size;
  counters_.value_bytes += range.size;
  TRY_VOID(finish());
  return again_;
}

}  // namespace skein::paging
