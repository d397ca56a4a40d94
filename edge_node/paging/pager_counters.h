// PagerCounters: what paging cost so far. Value. DamagedPages: what it found wrong; any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "common/env/env.h"

namespace skein {

struct PagerCounters {
  std::uint64_t hits = 0;          // streamed pages and wanted rows that were there when asked for
  std::uint64_t misses = 0;        // those that were waited for
  std::uint64_t bytes_read = 0;    // from storage, in all
  std::uint64_t value_bytes = 0;   // of those, for rows
  std::uint64_t tile_bytes = 0;    // likewise, for a head's tiles
  std::uint64_t row_hits = 0;      // of the hits, rows
  std::uint64_t row_misses = 0;    // of the misses, rows
  std::uint64_t row_reads = 0;     // reads that rows came by, each of one or more
  std::uint64_t rows_guessed = 0;  // rows read before they were known to be wanted
  std::uint64_t guesses_used = 0;  // of those, wanted
  std::uint64_t unguessed = 0;     // of the row misses, those of passes that guessed
  std::uint64_t came_along = 0;    // wanted rows that lay between guessed ones of one read
  std::uint64_t read_gap = 0;      // bytes that a read of rows may take along
  std::uint64_t restarts = 0;      // of the stream, where a pass went elsewhere
  Duration stalled{};              // waiting for storage
  Duration late{};                 // of that, for rows that were guessed, but not yet there
  Duration missed{};               // of that, for rows that were not
  Duration verifying{};            // comparing what was read with its tag or hash
  Duration decoding{};             // coded pages, and comparing those that were read

  PagerCounters& operator+=(const PagerCounters& more) {
    return with(more, [](auto& sum, const auto& one) { sum += one; });
  }
  // What came since.
  PagerCounters operator-(const PagerCounters& before) const {
    return PagerCounters(*this).with(before, [](auto& all, const auto& one) { all -= one; });
  }

 private:
  template <class Change>
  PagerCounters& with(const PagerCounters& other, Change change) {
    static_assert(sizeof(PagerCounters) == 19 * sizeof(std::uint64_t), "add what is new below");
    change(hits, other.hits);
    change(misses, other.misses);
    change(bytes_read, other.bytes_read);
    change(value_bytes, other.value_bytes);
    change(tile_bytes, other.tile_bytes);
    change(row_hits, other.row_hits);
    change(row_misses, other.row_misses);
    change(row_reads, other.row_reads);
    change(rows_guessed, other.rows_guessed);
    change(guesses_used, other.guesses_used);
    change(unguessed, other.unguessed);
    change(came_along, other.came_along);
    change(restarts, other.restarts);
    change(stalled, other.stalled);
    change(late, other.late);
    change(missed, other.missed);
    change(verifying, other.verifying);
    change(decoding, other.decoding);
    read_gap = std::max(read_gap, other.read_gap);
    return *this;
  }
};

// Pages that did not match their hashes, or could not be read. Shared by who finds and who mends.
class DamagedPages {
 public:
  static constexpr std::size_t kMost = 64;  // then the rest is found by the next pass

  void add(std::uint32_t page) {
    const std::scoped_lock lock(mutex_);
    const bool known = std::ranges::find(pages_, page) != pages_.end();
    if (!known && pages_.size() < kMost) pages_.push_back(page);
  }
  std::vector<std::uint32_t> take() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(pages_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<std::uint32_t> pages_;
};

}  // namespace skein
