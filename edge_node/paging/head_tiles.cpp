#include "edge_node/paging/internal/head_tiles.h"

#include <algorithm>

#include "common/base/check.h"
#include "edge_node/paging/internal/read_cost.h"

namespace skein::paging {

namespace {

constexpr std::uint32_t kTilesATask = 8;

}  // namespace

std::uint64_t HeadTiles::least_half(std::uint64_t largest_read, std::uint32_t alignment) {
  constexpr std::uint64_t kWhole = BlockReads::kMostAlignment;
  return (largest_read + 2ULL * alignment + kWhole - 1) / kWhole * kWhole;
}

std::uint64_t HeadTiles::table_bytes(std::uint64_t tiles, std::uint64_t pages) {
  constexpr std::uint64_t kOfATile = sizeof(Tag) + sizeof(std::uint32_t) + 2;  // RowTable's
  constexpr std::uint64_t kOfAnArrival = sizeof(Arrival) + sizeof(BlockRead) + 1;
  return tiles * kOfATile + (tiles / 2 + pages + 1) * sizeof(RowBlock) +
         pages * sizeof(std::uint64_t) + 2 * kMostArrivals * kOfAnArrival;
}

HeadTiles::HeadTiles(const StoredPages& pages, std::unique_ptr<BlockReads> reads, Clock& clock,
                     PagerCounters& counters, Options options)
    : pages_(pages),
      clock_(clock),
      counters_(counters),
      options_(std::move(options)),
      table_(pages, options_.tensor),
      first_read_(std::size_t{options_.pinned_segments} + options_.coded_segments),
      buffer_(options_.buffer_bytes),
      right_(kMostArrivals),
      reads_(std::move(reads)) {
  const std::size_t half =
      buffer_.size() / 2 / BlockReads::kMostAlignment * BlockReads::kMostAlignment;
  for (std::size_t i = 0; i < halves_.size(); ++i) {
    halves_[i].memory = buffer_.bytes().subspan(i * half, half);
    halves_[i].arrivals.reserve(kMostArrivals);
  }
  const std::size_t most_runs = table_.rows / 2 + table_.segments.size() + 1;
  runs_.reserve(std::max<std::size_t>(most_runs, kMostArrivals));
  const std::size_t buffers = options_.coded == nullptr ? 0 : options_.coded->buffers();
  bringing_.reserve(buffers);
  brought_.reserve(buffers);
  planned_.reserve(kMostArrivals);
  std::uint32_t tasks = kMostArrivals / kTilesATask;
  for (std::size_t i = 0; i < table_.segments.size(); ++i) {
    tasks = std::max(tasks, RowTable::tasks_of(end_of(i) - table_.first_of(i)));
  }
  for (std::uint32_t i = 0; i < tasks; ++i) taggers_.emplace_back(options_.tag_key);
}

Result<void> HeadTiles::learn_tags(MutableByteView page_buffer, Parallel& parallel) {
  return table_.learn_tags({pages_, *reads_, page_buffer, taggers_, parallel, counters_},
                           first_read_);
}

std::uint32_t HeadTiles::end_of(std::size_t segment) const {
  return segment + 1 < table_.segments.size() ? table_.first_of(segment + 1) : table_.rows;
}

// Neighbours are one run.
void HeadTiles::add_tile(std::uint32_t tile, const std::byte* data) {
  const std::uint32_t first = tile * kTileRows;
  const std::uint32_t stored = pages_.manifest.tensors[table_.tensor].rows;
  const std::uint32_t rows = std::min(kTileRows, stored - first);
  if (!runs_.empty()) {
    RowBlock& last = runs_.back();
    const std::uint64_t bytes = std::uint64_t{last.rows / kTileRows} * table_.row_bytes;
    if (last.first_row + last.rows == first && last.data + bytes == data) {
      last.rows += rows;
      return;
    }
  }
  runs_.push_back({data, first, rows});
}

void HeadTiles::add_tiles_of(std::size_t segment, const std::byte* page, Wanted wanted,
                             std::uint32_t first) {
  const std::byte* const data = page + table_.segments[segment].offset;
  const std::uint32_t begin = table_.first_of(segment);
  for (std::uint32_t tile = std::max(first, begin); tile < end_of(segment); ++tile) {
    if (wanted[tile] == 0) continue;
    add_tile(tile, data + std::size_t{tile - begin} * table_.row_bytes);
  }
}

// What a pass left behind that ended early is waited for: its memory is not free before.
Result<void> HeadTiles::restart(Wanted wanted) {
  CHECK(wanted.size() == table_.rows);
  while (const std::uint32_t out = halves_[0].reading + halves_[1].reading) TRY_VOID(collect(out));
  half_ = 0;
  taken_ = false;
  begun_ = first_read_ < table_.segments.size() ? table_.first_of(first_read_) : table_.rows;
  for (Half& half : halves_) TRY_VOID(begin(half, wanted));
  return {};
}

Result<PagedTensors::Tiles> HeadTiles::tiles_from(std::span<const std::uint8_t> wanted,
                                                  std::uint32_t first, Parallel& parallel) {
  if (first == 0) TRY_VOID(restart(wanted));
  runs_.clear();
  std::uint32_t next = take_pinned(wanted, first);
  if (runs_.empty()) {
    TRY(next, take_coded(wanted, next, parallel));
  }
  if (runs_.empty()) {
    TRY(next, take_read(wanted, parallel));
  }
  return PagedTensors::Tiles{runs_, next};
}

std::uint32_t HeadTiles::take_pinned(Wanted wanted, std::uint32_t first) {
  std::uint32_t next = first;
  for (std::size_t i = 0; i < options_.pinned_segments; ++i) {
    if (end_of(i) <= next) continue;
    add_tiles_of(i, options_.pinned_at[table_.segments[i].page], wanted, next);
    next = end_of(i);
  }
  return next;
}

// As many pages as are decoded at once.
Result<std::uint32_t> HeadTiles::take_coded(Wanted wanted, std::uint32_t first,
                                            Parallel& parallel) {
  bringing_.clear();
  brought_.clear();
  std::uint32_t next = first;
  for (std::size_t i = options_.pinned_segments; i < first_read_; ++i) {
    if (end_of(i) <= next) continue;
    const Wanted tiles = wanted.first(end_of(i)).subspan(next);
    if (std::ranges::any_of(tiles, [](std::uint8_t mark) { return mark != 0; })) {
      if (bringing_.size() == options_.coded->buffers()) break;
      const std::uint32_t page = table_.segments[i].page;
      bringing_.push_back({page, options_.coded_at[page], true});
      brought_.push_back(static_cast<std::uint32_t>(i));
    }
    next = end_of(i);
  }
  if (bringing_.empty()) return next;
  TRY_VOID(decode(bringing_, parallel));
  for (std::size_t i = 0; i < brought_.size(); ++i) {
    add_tiles_of(brought_[i], options_.coded->at(bringing_[i].page), wanted, first);
  }
  return next;
}

Result<std::uint32_t> HeadTiles::take_read(Wanted wanted, Parallel& parallel) {
  Half& half = halves_[half_];
  if (taken_) TRY_VOID(begin(halves_[1 - half_], wanted));  // that has been multiplied
  TRY_VOID(wait_for(half));
  TRY_VOID(verify(half, parallel));
  bringing_.clear();
  brought_.clear();
  for (const Arrival& arrival : half.arrivals) {
    if (!arrival.is_page) continue;
    const std::size_t segment = table_.segment_of(arrival.first);
    const std::uint32_t page = table_.segments[segment].page;
    bringing_.push_back({page, {arrival.data, pages_.sizes[page]}, false});
  }
  if (!bringing_.empty()) TRY_VOID(decode(bringing_, parallel));
  for (const Arrival& arrival : half.arrivals) {
    const std::size_t segment = table_.segment_of(arrival.first);
    const std::uint32_t page = table_.segments[segment].page;
    if (arrival.is_page) {
      add_tiles_of(segment, options_.coded->at(page), wanted, 0);
    } else {
      add_tile(arrival.first, arrival.data);
    }
  }
  half_ = 1 - half_;
  taken_ = true;
  return half.next;
}

// Of tiles from begun_ on, as many as the half holds, neighbours together.
void HeadTiles::plan_reads(Half& half, Wanted wanted) {
  planned_.clear();
  half.arrivals.clear();
  RowReads plan(table_, reads_->alignment(), ReadCost::kUsualGap, half.memory, planned_);
  std::size_t coded = 0;
  std::uint32_t tile = begun_;
  while (tile < table_.rows) {
    if (wanted[tile] == 0) {
      ++tile;
      continue;
    }
    if (half.arrivals.size() == kMostArrivals) break;
    const std::size_t segment = table_.segment_of(tile);
    const std::uint32_t page = table_.segments[segment].page;
    const bool is_page = !pages_.is_plain(page);
    if (is_page && coded == options_.coded->buffers()) break;
    const std::byte* const data =
        is_page ? plan.add(pages_.offsets[page], pages_.sizes[page]).data : plan.add(tile).data;
    if (data == nullptr) break;
    half.arrivals.push_back({tile, is_page, data});
    coded += is_page ? 1 : 0;
    tile = is_page ? end_of(segment) : tile + 1;
  }
  CHECK(tile == table_.rows || !half.arrivals.empty());
  half.next = tile;
}

Result<void> HeadTiles::begin(Half& half, Wanted wanted) {
  half.result = {};
  plan_reads(half, wanted);
  begun_ = half.next;
  if (planned_.empty()) return {};
  for (BlockRead& read : planned_) {
    read.tag = static_cast<std::uint64_t>(&half - halves_.data());
    counters_.bytes_read += read.out.size();
    counters_.tile_bytes += read.out.size();
  }
  const auto submitted = reads_->submit(planned_);
  if (submitted) half.reading = static_cast<std::uint32_t>(planned_.size());
  return submitted;
}

Result<void> HeadTiles::collect(std::size_t at_least) {
  return take_parts(*reads_, halves_, at_least, pages_.file);
}

Result<void> HeadTiles::wait_for(Half& half) {
  TRY_VOID(collect(0));
  (half.reading == 0 ? counters_.hits : counters_.misses) += half.arrivals.size();
  while (half.reading > 0) {
    if (options_.meanwhile && options_.meanwhile()) {
      TRY_VOID(collect(0));
      continue;
    }
    const Instant began = clock_.now();
    TRY_VOID(collect(half.reading));
    counters_.stalled += clock_.now() - began;
  }
  if (half.result) return {};
  const std::size_t segment = table_.segment_of(half.arrivals.front().first);
  return tl::unexpected<Error>(pages_.of_page(table_.segments[segment].page, half.result.error()));
}

// Tiles; what decodes pages verifies them.
Result<void> HeadTiles::verify(Half& half, Parallel& parallel) {
  struct Job {
    HeadTiles& tiles;
    std::span<const Arrival> arrivals;
    void run(std::size_t task) const {
      const std::size_t first = task * kTilesATask;
      for (std::size_t i = first; i < std::min(first + kTilesATask, arrivals.size()); ++i) {
        const Arrival& arrival = arrivals[i];
        const ByteView bytes(arrival.data, arrival.is_page ? 0 : tiles.table_.row_bytes);
        tiles.right_[i] =
            arrival.is_page || tiles.taggers_[task].of(bytes) == tiles.table_.tags[arrival.first];
      }
    }
  } job{*this, half.arrivals};
  const Instant began = clock_.now();
  run_tasks(parallel, (half.arrivals.size() + kTilesATask - 1) / kTilesATask, job);
  counters_.verifying += clock_.now() - began;
  for (std::size_t i = 0; i < half.arrivals.size(); ++i) {
    if (right_[i] != 0) continue;
    const std::uint32_t tile = half.arrivals[i].first;
    return pages_.does_not_match(table_.page_of(tile), "tile " + std::to_string(tile));
  }
  return {};
}

Result<void> HeadTiles::decode(std::span<const CodedPage> pages, Parallel& parallel) {
  const Instant began = clock_.now();
  auto decoded = options_.coded->bring(pages, parallel);
  counters_.decoding += clock_.now() - began;
  return decoded;
}

}  // namespace skein::paging
