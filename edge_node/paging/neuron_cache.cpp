#include "edge_node/paging/internal/neuron_cache.h"

#include <algorithm>
#include <cstring>

#include "common/base/check.h"
#include "kernels/ops/neurons.h"

namespace skein::paging {

namespace {

constexpr std::uint64_t kMostRead = std::uint64_t{256} * 1024;
// Bytes not wanted that a read may take along: a read costs as much as some KiB of another, so much
// is read along where many rows are missing anyway.
constexpr std::uint64_t kGap = 1024;
constexpr std::uint64_t kWideGap = 8192;
constexpr std::uint32_t kManyMissing = 8;  // one row of so many
constexpr std::uint32_t kTried = 8;        // places looked at for a row
constexpr std::uint32_t kPassesAnAge = 32;
constexpr std::uint32_t kRowsATask = 32;

std::uint32_t tasks_of(std::size_t rows) {
  return static_cast<std::uint32_t>((rows + kRowsATask - 1) / kRowsATask);
}

}  // namespace

NeuronCache::NeuronCache(const StoredPages& pages, std::unique_ptr<BlockReads> reads, Clock& clock,
                         PagerCounters& counters, Options options)
    : pages_(pages),
      clock_(clock),
      counters_(counters),
      table_of_(pages.manifest.tensors.size(), kNowhere),
      staging_(options.staging_bytes),
      kept_(std::size_t{options.kept_rows} * options.kept_row_bytes),
      kept_row_bytes_(options.kept_row_bytes),
      owners_(options.kept_rows),
      reads_(std::move(reads)) {
  std::uint32_t most_rows = 0;
  for (const std::uint32_t index : options.tensors) {
    const TensorEntry& tensor = pages.manifest.tensors[index];
    table_of_[index] = static_cast<std::uint32_t>(tables_.size());
    Table& table = tables_.emplace_back();
    table.tensor = index;
    table.rows = tensor.rows;
    table.row_bytes =
        static_cast<std::uint32_t>(stored_bytes(tensor.format, tensor.layout, 1, tensor.cols));
    for (const Segment& segment : tensor.segments) {
      table.segment_offsets.push_back(pages.offsets[segment.page] + segment.offset);
    }
    table.tags.resize(tensor.rows);
    table.places.assign(tensor.rows, kNowhere);
    table.uses.resize(tensor.rows);
    most_rows = std::max(most_rows, tensor.rows);
  }
  const std::size_t half =
      staging_.size() / 2 / BlockReads::kMostAlignment * BlockReads::kMostAlignment;
  halves_[0].memory = staging_.bytes().first(half);
  halves_[1].memory = staging_.bytes().subspan(half, half);
  at_.resize(most_rows);
  wanted_.resize(most_rows);
  arrivals_.reserve(most_rows);
  for (std::uint32_t i = 0; i < tasks_of(most_rows); ++i) taggers_.emplace_back(options.tag_key);
  planned_.reserve(BlockReads::kMostQueued / 2);
  moves_.reserve(most_rows);
}

Result<void> NeuronCache::learn_tags(MutableByteView page_buffer, Parallel& parallel) {
  struct Job {
    Table& table;
    const Segment& segment;
    const std::byte* data;
    std::span<Tagger> taggers;
    void run(std::size_t task) const {
      const std::uint32_t from = static_cast<std::uint32_t>(task) * kRowsATask;
      const std::uint32_t to = std::min(from + kRowsATask, segment.rows);
      for (std::uint32_t row = from; row < to; ++row) {
        const ByteView bytes(data + std::size_t{row} * table.row_bytes, table.row_bytes);
        table.tags[segment.first_row + row] = taggers[task].of(bytes);
      }
    }
  };
  Sha256 hasher;
  for (Table& table : tables_) {
    for (const Segment& segment : pages_.manifest.tensors[table.tensor].segments) {
      const std::uint32_t bytes = pages_.manifest.pages[segment.page].bytes;
      const WholeRange range(pages_.offsets[segment.page], bytes, reads_->alignment());
      CHECK(range.size <= page_buffer.size());
      if (auto read = read_now(*reads_, range.first, page_buffer.first(range.size), 0); !read) {
        return tl::unexpected<Error>(pages_.of_page(segment.page, std::move(read.error())));
      }
      counters_.bytes_read += range.size;
      const ByteView page = page_buffer.subspan(range.lead, bytes);
      TRY_VOID(pages_.check(segment.page, page, hasher));
      Job job{table, segment, page.data() + segment.offset, taggers_};
      run_tasks(parallel, tasks_of(segment.rows), job);
    }
  }
  return {};
}

std::uint32_t NeuronCache::page_of(const Table& table, std::uint32_t row) const {
  const auto& segments = pages_.manifest.tensors[table.tensor].segments;
  const auto after = std::ranges::upper_bound(segments, row, {}, &Segment::first_row);
  return (after - 1)->page;
}

std::uint64_t NeuronCache::offset_of(const Table& table, std::uint32_t row) const {
  const auto& segments = pages_.manifest.tensors[table.tensor].segments;
  const auto after = std::ranges::upper_bound(segments, row, {}, &Segment::first_row);
  const auto index = static_cast<std::size_t>(after - segments.begin()) - 1;
  return table.segment_offsets[index] +
         std::uint64_t{row - segments[index].first_row} * table.row_bytes;
}

Result<void> NeuronCache::want(std::uint32_t tensor, std::span<const std::uint8_t> wanted,
                               Parallel& parallel) {
  TRY_VOID(settle());
  leave(parallel);
  CHECK(table_of_[tensor] != kNowhere);
  current_ = table_of_[tensor];
  Table& table = tables_[current_];
  CHECK(wanted.size() == table.rows);
  std::ranges::copy(wanted, wanted_.begin());
  arrivals_.clear();
  for (std::uint32_t row = 0; row < table.rows; ++row) {
    at_[row] = nullptr;
    if (wanted[row] == 0) continue;
    if (table.uses[row] < 255) ++table.uses[row];
    if (table.places[row] == kNowhere) {
      arrivals_.push_back({row, nullptr});
    } else {
      at_[row] = kept_.data() + std::size_t{table.places[row]} * kept_row_bytes_;
      ++counters_.row_hits;
      ++counters_.hits;
    }
  }
  counters_.row_misses += arrivals_.size();
  counters_.misses += arrivals_.size();
  begun_neuron_ = 0;
  begun_arrival_ = 0;
  half_ = 0;
  for (Half& half : halves_) TRY_VOID(begin(half));
  return {};
}

// Rows of whole blocks from begun_neuron_ on, as many as the half holds, neighbours together.
void NeuronCache::plan_reads(Half& half) {
  const Table& table = tables_[current_];
  const std::uint32_t alignment = reads_->alignment();
  const std::uint64_t gap = arrivals_.size() * kManyMissing > table.rows ? kWideGap : kGap;
  planned_.clear();
  half.first_arrival = half.last_arrival = begun_arrival_;
  half.first_neuron = half.last_neuron = begun_neuron_;
  half.used = 0;
  while (half.last_neuron < table.rows) {
    const std::uint32_t end = std::min(half.last_neuron + kNeuronBlock, table.rows);
    const std::size_t reads_before = planned_.size();
    const std::uint64_t used_before = half.used;
    const BlockRead last_before = planned_.empty() ? BlockRead{} : planned_.back();
    std::uint32_t next = half.last_arrival;
    bool fits = true;
    for (; next < arrivals_.size() && arrivals_[next].row < end; ++next) {
      const std::uint64_t offset = offset_of(table, arrivals_[next].row);
      const WholeRange range(offset, table.row_bytes, alignment);
      const std::uint64_t stop = range.first + range.size;
      if (!planned_.empty()) {
        BlockRead& last = planned_.back();
        const std::uint64_t last_stop = last.offset + last.out.size();
        if (range.first <= last_stop + gap && range.first >= last.offset &&
            stop - last.offset <= kMostRead) {
          const std::uint64_t more = stop > last_stop ? stop - last_stop : 0;
          if (half.used + more > half.memory.size()) {
            fits = false;
            break;
          }
          last.out = {last.out.data(), last.out.size() + more};
          half.used += more;
          arrivals_[next].data = last.out.data() + (offset - last.offset);
          continue;
        }
      }
      const bool room =
          half.used + range.size <= half.memory.size() && planned_.size() < planned_.capacity();
      if (!room) {
        fits = false;
        break;
      }
      planned_.push_back({range.first, half.memory.subspan(half.used, range.size), 0});
      half.used += range.size;
      arrivals_[next].data = planned_.back().out.data() + range.lead;
    }
    if (!fits) {  // the block goes into the next half
      planned_.resize(reads_before);
      half.used = used_before;
      if (!planned_.empty()) planned_.back() = last_before;
      break;
    }
    half.last_arrival = next;
    half.last_neuron = end;
  }
  CHECK(half.last_neuron > half.first_neuron || half.first_neuron == table.rows);
}

Result<void> NeuronCache::begin(Half& half) {
  half.result = {};
  plan_reads(half);
  begun_neuron_ = half.last_neuron;
  begun_arrival_ = half.last_arrival;
  if (planned_.empty()) return {};
  const auto which = static_cast<std::uint64_t>(&half - halves_.data());
  for (BlockRead& read : planned_) {
    read.tag = which;
    counters_.bytes_read += read.out.size();
    counters_.value_bytes += read.out.size();
  }
  const auto submitted = reads_->submit(planned_);
  if (submitted) half.reading = static_cast<std::uint32_t>(planned_.size());
  return submitted;
}

Result<void> NeuronCache::collect(std::size_t at_least) {
  BlockReadDone done[BlockReads::kMostInFlight];
  const std::size_t taken = reads_->wait(done, at_least, kReadDeadline);
  if (taken < at_least) {
    return fail(Errc::kDeadline, "storage did not answer in a minute", pages_.file,
                "check the device");
  }
  for (std::size_t i = 0; i < taken; ++i) {
    Half& half = halves_[done[i].tag];
    --half.reading;
    if (!done[i].result) half.result = std::move(done[i].result);
  }
  return {};
}

// Nothing is out any more: what a pass left behind that ended early.
Result<void> NeuronCache::settle() {
  while (halves_[0].reading + halves_[1].reading > 0) TRY_VOID(collect(1));
  return {};
}

Result<void> NeuronCache::finish(Half& half, Parallel& parallel) {
  if (half.reading > 0) {
    const Instant began = clock_.now();
    while (half.reading > 0) TRY_VOID(collect(1));
    counters_.stalled += clock_.now() - began;
  }
  const Table& table = tables_[current_];
  if (!half.result) {
    const std::uint32_t page = page_of(table, arrivals_[half.first_arrival].row);
    return tl::unexpected<Error>(pages_.of_page(page, half.result.error()));
  }
  struct Job {
    const Table& table;
    std::span<Arrival> arrivals;
    std::span<Tagger> taggers;
    void run(std::size_t task) const {
      const std::size_t from = task * kRowsATask;
      for (Arrival& arrival :
           arrivals.subspan(from, std::min<std::size_t>(kRowsATask, arrivals.size() - from))) {
        const bool right =
            taggers[task].of({arrival.data, table.row_bytes}) == table.tags[arrival.row];
        if (!right) arrival.data = nullptr;
      }
    }
  } job{table,
        std::span(arrivals_).subspan(half.first_arrival, half.last_arrival - half.first_arrival),
        taggers_};
  run_tasks(parallel, tasks_of(job.arrivals.size()), job);
  for (const Arrival& arrival : job.arrivals) {
    if (arrival.data == nullptr) {
      const std::uint32_t page = page_of(table, arrival.row);
      pages_.note_damage(page);
      return fail(Errc::kCorrupt,
                  "page " + std::to_string(page) + " of " + pages_.digest.short_hex() +
                      " does not match its hash (row " + std::to_string(arrival.row) + ")",
                  pages_.file + ", offset " + std::to_string(pages_.offsets[page]),
                  "fetch the artifact again");
    }
    at_[arrival.row] = arrival.data;
  }
  return {};
}

Result<PagedTensors::Neurons> NeuronCache::rows_from(std::uint32_t first, Parallel& parallel) {
  CHECK(current_ != kNowhere);
  Half& half = halves_[half_];
  if (taken_) {  // the other half has been multiplied
    Half& used = halves_[1 - half_];
    keep(used, parallel);
    taken_ = false;
    TRY_VOID(begin(used));
  }
  CHECK(half.first_neuron == first);
  TRY_VOID(finish(half, parallel));
  half_ = 1 - half_;
  taken_ = true;
  const Table& table = tables_[current_];
  return PagedTensors::Neurons{std::span(at_).first(table.rows), first,
                               half.last_neuron - half.first_neuron};
}

// The rows taken last are kept, too.
void NeuronCache::leave(Parallel& parallel) {
  if (taken_) keep(halves_[1 - half_], parallel);
  taken_ = false;
  current_ = kNowhere;
}

void NeuronCache::end_pass(Parallel& parallel) {
  leave(parallel);
  if (++passes_ == kPassesAnAge) age();
}

void NeuronCache::age() {
  passes_ = 0;
  for (Table& table : tables_) {
    for (std::uint8_t& uses : table.uses) uses = static_cast<std::uint8_t>(uses / 2);
  }
}

// A free place, or one whose row is wanted less often and not at this moment.
std::uint32_t NeuronCache::place_for(std::uint8_t uses) {
  std::uint32_t best = kNowhere;
  std::uint8_t fewest = uses;
  for (std::uint32_t i = 0; i < std::min<std::size_t>(kTried, owners_.size()); ++i) {
    hand_ = (hand_ + 1) % static_cast<std::uint32_t>(owners_.size());
    const Owner& owner = owners_[hand_];
    if (owner.table == kNowhere) return hand_;
    if (owner.table == current_ && wanted_[owner.row] != 0) continue;
    const std::uint8_t theirs = tables_[owner.table].uses[owner.row];
    if (theirs < fewest) {
      fewest = theirs;
      best = hand_;
    }
  }
  return best;
}

// Rows that have been multiplied and are worth it move to kept places.
void NeuronCache::keep(const Half& half, Parallel& parallel) {
  if (owners_.empty()) return;
  Table& table = tables_[current_];
  moves_.clear();
  for (std::uint32_t i = half.first_arrival; i < half.last_arrival; ++i) {
    const std::uint32_t row = arrivals_[i].row;
    const std::uint32_t place = place_for(table.uses[row]);
    if (place == kNowhere) continue;
    Owner& owner = owners_[place];
    if (owner.table != kNowhere) tables_[owner.table].places[owner.row] = kNowhere;
    owner = {current_, row};
    table.places[row] = place;
    moves_.emplace_back(i, place);
  }
  struct Job {
    const NeuronCache& cache;
    std::uint32_t bytes;
    void run(std::size_t task) const {
      const std::size_t from = task * kRowsATask;
      const std::size_t to = std::min<std::size_t>(from + kRowsATask, cache.moves_.size());
      for (std::size_t i = from; i < to; ++i) {
        const auto [arrival, place] = cache.moves_[i];
        std::memcpy(cache.kept_.data() + std::size_t{place} * cache.kept_row_bytes_,
                    cache.arrivals_[arrival].data, bytes);
      }
    }
  } job{*this, table.row_bytes};
  run_tasks(parallel, tasks_of(moves_.size()), job);
}

}  // namespace skein::paging
