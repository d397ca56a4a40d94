// PagerCounters: what paging cost so far. Value.
#pragma once

#include <cstdint>

#include "common/env/env.h"

namespace skein {

struct PagerCounters {
  std::uint64_t hits = 0;          // streamed pages and wanted rows that were there when asked for
  std::uint64_t misses = 0;        // those that were waited for
  std::uint64_t bytes_read = 0;    // from storage, in all
  std::uint64_t value_bytes = 0;   // of those, for rows
  std::uint64_t row_hits = 0;      // of the hits, rows
  std::uint64_t row_misses = 0;    // of the misses, rows
  std::uint64_t row_reads = 0;     // reads that rows came by, each of one or more
  std::uint64_t rows_guessed = 0;  // rows read before they were known to be wanted
  std::uint64_t guesses_used = 0;  // of those, wanted
  std::uint64_t came_along = 0;    // wanted rows that lay between guessed ones of one read
  std::uint64_t read_gap = 0;      // bytes that a read of rows may take along
  std::uint64_t restarts = 0;      // of the stream, where a pass went elsewhere
  Duration stalled{};              // waiting for storage
  Duration late{};                 // of that, for rows that were guessed, but not yet there
  Duration missed{};               // of that, for rows that were not
};

}  // namespace skein
