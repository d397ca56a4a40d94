#include "edge_node/paging/internal/neuron_cache.h"

#include <algorithm>
#include <cstring>

#include "common/base/check.h"
#include "kernels/ops/neurons.h"

namespace skein::paging {

namespace {

constexpr std::size_t kBegunAtOnce = 32;   // reads
constexpr std::uint32_t kManyMissing = 8;  // one row of so many: reads are long anyway
constexpr std::uint32_t kTried = 8;        // places looked at for a row
constexpr std::uint32_t kPassesAnAge = 32;
constexpr std::uint32_t kRowsATask = RowTable::kRowsATask;

// Where storage has time to spare, rows that may be wanted come ahead. Where it is what a pass
// waits for, each is better read once, when it is known to be wanted, and reads are as long as what
// lies between is cheap. Which it is, and how cheap, a pass's time tells best.
struct Way {
  bool guesses = false;
  bool by_opening = false;  // gaps are wide, by what bytes cost at opening and not since
};
constexpr Way kWays[] = {{true, false}, {false, true}, {false, false}};
constexpr double kFadingCost = 0.8;  // of what a byte cost before

std::uint32_t tasks_of(std::size_t rows) { return RowTable::tasks_of(rows); }

}  // namespace

NeuronCache::NeuronCache(const StoredPages& pages, std::unique_ptr<BlockReads> reads, Clock& clock,
                         PagerCounters& counters, Options options)
    : pages_(pages),
      clock_(clock),
      counters_(counters),
      table_of_(pages.manifest.tensors.size(), kNowhere),
      meanwhile_(std::move(options.meanwhile)),
      ways_(1),
      staging_(options.staging_bytes),
      kept_(std::size_t{options.kept_rows} * options.kept_row_bytes),
      kept_row_bytes_(options.kept_row_bytes),
      owners_(options.kept_rows),
      reads_(std::move(reads)) {
  std::uint32_t most_rows = 0;
  for (const std::uint32_t index : options.tensors) {
    table_of_[index] = static_cast<std::uint32_t>(tables_.size());
    tables_.emplace_back(pages, index);
    most_rows = std::max(most_rows, tables_.back().rows);
  }
  const std::size_t half =
      staging_.size() / 2 / BlockReads::kMostAlignment * BlockReads::kMostAlignment;
  halves_[0].memory = staging_.bytes().first(half);
  halves_[1].memory = staging_.bytes().subspan(half, half);
  at_.resize(most_rows);
  wanted_.resize(most_rows);
  arrivals_.reserve(most_rows);
  ahead_rows_.reserve(most_rows);
  for (std::uint32_t i = 0; i < tasks_of(most_rows); ++i) taggers_.emplace_back(options.tag_key);
  planned_.reserve(BlockReads::kMostQueued / 2);
  moves_.reserve(most_rows);
}

Result<void> NeuronCache::learn_tags(MutableByteView page_buffer, Parallel& parallel) {
  const TagLearning by = {pages_, *reads_, page_buffer, taggers_, parallel, counters_};
  for (RowTable& table : tables_) TRY_VOID(table.learn_tags(by));
  TRY(cost_, measure_reads(*reads_, clock_, tables_, staging_.bytes()));
  seen_cost_ = cost_;
  counters_.read_gap = cost_.gap();
  return {};
}

void NeuronCache::read_ahead(std::uint64_t bytes, std::unique_ptr<BlockReads> reads,
                             std::unique_ptr<NeuronPredictor> predictor) {
  const auto most_rows = static_cast<std::uint32_t>(at_.size());
  guess_ = std::make_unique<RowGuess>(most_rows, std::move(predictor));
  ways_ = Trial(std::size(kWays));
  ahead_ = std::make_unique<RowsAhead>(bytes, most_rows, std::move(reads), counters_);
  guesses_.reserve(most_rows);
  const Manifest& manifest = pages_.manifest;
  table_of_layer_.assign(manifest.config.layers, kNowhere);
  for (std::uint32_t layer = 0; layer < manifest.config.layers; ++layer) {
    const std::string name = "blocks." + std::to_string(layer) + ".ffn.value.weight";
    const TensorEntry* const value = find_tensor(manifest, name);
    if (value == nullptr) continue;
    table_of_layer_[layer] = table_of_[static_cast<std::size_t>(value - manifest.tensors.data())];
  }
}

bool NeuronCache::is_guessing() const { return guess_ && kWays[ways_.way()].guesses; }

// Few rows are worth a read each; many lie so close that storage reads on as fast.
std::uint64_t NeuronCache::gap_for(std::size_t wanted, const RowTable& table) const {
  const Way& way = kWays[ways_.way()];
  if (way.by_opening) return cost_.wide_gap();
  return wanted * kManyMissing <= table.rows ? cost_.gap() : seen_cost_.wide_gap();
}

// Reads what is likely and not in memory of the table of that index.
void NeuronCache::guess(std::uint32_t index, const PagedTensors::LayerInput* input) {
  const RowTable& table = tables_[index];
  const Instant began = clock_.now();
  const std::uint64_t before = counters_.rows_guessed;
  const bool scored = input != nullptr && guess_->look_ahead(table, index, *input);
  if (!scored) guess_->look_back(table, index);
  guesses_.clear();
  for (std::uint32_t row = 0; row < table.rows; ++row) {
    if (table.places[row] != kNowhere || !guess_->is_likely(row)) continue;
    if (!ahead_->has(index, row)) guesses_.push_back(row);
  }
  ahead_->begin(table, index, guesses_, gap_for(guesses_.size(), table));
  pass_.guesses += counters_.rows_guessed - before;
  pass_.guessing += clock_.now() - began;
}

void NeuronCache::layer_begins(const PagedTensors::LayerInput& input, Parallel& parallel) {
  if (!guess_ || input.layer >= table_of_layer_.size()) return;
  const std::uint32_t index = table_of_layer_[input.layer];
  if (index == kNowhere) return;
  leave(parallel);
  if (!pass_began_) {
    pass_began_ = clock_.now();
    read_before_ = counters_.bytes_read;
  }
  rows_of_pass_ = static_cast<std::uint32_t>(input.shift.size());
  ++layers_;
  if (is_guessing() && guess_->has_predictor()) guess(index, &input);
  ahead_->poll();
}

// What is kept, what was read ahead, what is yet to be read.
void NeuronCache::sort_out(const RowTable& table, std::span<const std::uint8_t> wanted) {
  arrivals_.clear();
  ahead_rows_.clear();
  for (std::uint32_t row = 0; row < table.rows; ++row) {
    at_[row] = nullptr;
    if (wanted[row] == 0) continue;
    const std::byte* const ahead = ahead_ ? ahead_->at(row) : nullptr;
    if (table.places[row] != kNowhere) {
      at_[row] = kept_.data() + std::size_t{table.places[row]} * kept_row_bytes_;
      ++counters_.row_hits;
      ++counters_.hits;
    } else if (ahead != nullptr) {
      ahead_rows_.push_back({row, ahead});
      ++(ahead_->was_guessed(row) ? counters_.guesses_used : counters_.came_along);
    } else {
      arrivals_.push_back({row, nullptr});
    }
  }
  ahead_done_ = ahead_rows_.empty();
  // Rows that are there in time are hits.
  std::uint64_t& count = ahead_ && ahead_->is_reading() ? counters_.misses : counters_.hits;
  count += ahead_rows_.size();
  pass_.misses += arrivals_.size();
  counters_.row_misses += arrivals_.size();
  if (is_guessing()) counters_.unguessed += arrivals_.size();
  counters_.misses += arrivals_.size();
}

Result<void> NeuronCache::want(std::uint32_t tensor, std::span<const std::uint8_t> wanted,
                               Parallel& parallel) {
  TRY_VOID(settle());
  leave(parallel);
  CHECK(table_of_[tensor] != kNowhere);
  current_ = table_of_[tensor];
  RowTable& table = tables_[current_];
  table.count(wanted);
  std::ranges::copy(wanted, wanted_.begin());
  if (guess_) {
    guess_->learn(table, current_, wanted);
    ahead_->take(current_);
    ahead_->poll();
  }
  sort_out(table, wanted);
  begun_neuron_ = 0;
  begun_arrival_ = 0;
  half_ = 0;
  for (Half& half : halves_) TRY_VOID(begin(half));
  // What the next layer's predictor will tell is better, but comes later.
  const auto next = static_cast<std::uint32_t>((current_ + 1) % tables_.size());
  if (is_guessing() && !guess_->has_predictor() && next != current_) guess(next, nullptr);
  return {};
}

// Rows of whole blocks from begun_neuron_ on, as many as the half holds, neighbours together.
void NeuronCache::plan_reads(Half& half) {
  const RowTable& table = tables_[current_];
  planned_.clear();
  const std::uint64_t gap = gap_for(arrivals_.size(), table);
  RowReads plan(table, reads_->alignment(), gap, half.memory, planned_);
  half.first_arrival = half.last_arrival = begun_arrival_;
  half.first_neuron = half.last_neuron = begun_neuron_;
  while (half.last_neuron < table.rows) {
    const std::uint32_t end = std::min(half.last_neuron + kNeuronBlock, table.rows);
    const RowReads::Mark before = plan.mark();
    std::uint32_t next = half.last_arrival;
    for (; next < arrivals_.size() && arrivals_[next].row < end; ++next) {
      arrivals_[next].data = plan.add(arrivals_[next].row).data;
      if (arrivals_[next].data == nullptr) break;
    }
    if (next < arrivals_.size() && arrivals_[next].row < end) {  // into the next half
      plan.back_to(before);
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
  counters_.row_reads += planned_.size();
  // The first ones are on their way while the others are begun.
  for (std::span<const BlockRead> rest = planned_; !rest.empty();) {
    const auto some = rest.first(std::min<std::size_t>(rest.size(), kBegunAtOnce));
    TRY_VOID(reads_->submit(some));
    half.reading += static_cast<std::uint32_t>(some.size());
    rest = rest.subspan(some.size());
  }
  return {};
}

Result<void> NeuronCache::collect(std::size_t at_least) {
  return take_parts(*reads_, halves_, at_least, pages_.file);
}

// Nothing is out any more: what a pass left behind that ended early.
Result<void> NeuronCache::settle() {
  while (const std::uint32_t out = halves_[0].reading + halves_[1].reading) TRY_VOID(collect(out));
  return {};
}

tl::unexpected<Error> NeuronCache::damaged(std::uint32_t row) const {
  return pages_.does_not_match(tables_[current_].page_of(row), "row " + std::to_string(row));
}

// What is not what it must be has no data afterwards.
void NeuronCache::verify(std::span<Arrival> arrivals, Parallel& parallel) {
  struct Job {
    const RowTable& table;
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
  } job{tables_[current_], arrivals, taggers_};
  const Instant began = clock_.now();
  run_tasks(parallel, tasks_of(arrivals.size()), job);
  counters_.verifying += clock_.now() - began;
}

// The rows read ahead are there, whatever became of their reads.
Result<void> NeuronCache::finish_ahead(Parallel& parallel) {
  while (ahead_->is_reading() && meanwhile_ && meanwhile_()) ahead_->poll();
  if (ahead_->is_reading()) {
    const Instant began = clock_.now();
    auto waited = ahead_->wait();
    const Duration took = clock_.now() - began;
    counters_.stalled += took;
    pass_.late += took;
    TRY_VOID(waited);
  }
  verify(ahead_rows_, parallel);
  const RowTable& table = tables_[current_];
  for (Arrival& arrival : ahead_rows_) {
    if (arrival.data == nullptr) {
      ++counters_.row_misses;
      ++counters_.misses;
      ++counters_.unguessed;
      if (auto read = ahead_->read_again(table, arrival.row); !read) {
        const std::uint32_t page = table.page_of(arrival.row);
        return tl::unexpected<Error>(pages_.of_page(page, std::move(read.error())));
      }
      arrival.data = ahead_->at(arrival.row);
      verify({&arrival, 1}, parallel);
      if (arrival.data == nullptr) return damaged(arrival.row);
    }
    at_[arrival.row] = arrival.data;
  }
  ahead_done_ = true;
  return {};
}

// How long there was nothing else to do.
Result<Duration> NeuronCache::wait_for(const Half& half) {
  Duration waited{};
  while (half.reading > 0) {
    if (meanwhile_ && meanwhile_()) {
      TRY_VOID(collect(0));
      continue;
    }
    const Instant began = clock_.now();
    TRY_VOID(collect(half.reading));
    waited += clock_.now() - began;
  }
  return waited;
}

Result<void> NeuronCache::finish(Half& half, Parallel& parallel) {
  if (!ahead_done_) TRY_VOID(finish_ahead(parallel));
  TRY(const Duration waited, wait_for(half));
  counters_.stalled += waited;
  pass_.missed += waited;
  if (!half.result) {
    const std::uint32_t page = tables_[current_].page_of(arrivals_[half.first_arrival].row);
    return tl::unexpected<Error>(pages_.of_page(page, half.result.error()));
  }
  const std::span<Arrival> arrivals =
      std::span(arrivals_).subspan(half.first_arrival, half.last_arrival - half.first_arrival);
  verify(arrivals, parallel);
  for (const Arrival& arrival : arrivals) {
    if (arrival.data == nullptr) return damaged(arrival.row);
    at_[arrival.row] = arrival.data;
  }
  return {};
}

Result<PagedTensors::Neurons> NeuronCache::rows_from(std::uint32_t first, Parallel& parallel) {
  CHECK(current_ != kNowhere);
  Half& half = halves_[half_];
  if (taken_) {  // the other half has been multiplied
    Half& used = halves_[1 - half_];
    keep(arrivals_of(used), parallel);
    taken_ = false;
    TRY_VOID(begin(used));
    if (ahead_) ahead_->poll();
  }
  CHECK(half.first_neuron == first);
  TRY_VOID(finish(half, parallel));
  half_ = 1 - half_;
  taken_ = true;
  const RowTable& table = tables_[current_];
  return PagedTensors::Neurons{std::span(at_).first(table.rows), first,
                               half.last_neuron - half.first_neuron};
}

// The rows taken last are kept, too.
void NeuronCache::leave(Parallel& parallel) {
  if (taken_) {
    keep(arrivals_of(halves_[1 - half_]), parallel);
    keep(ahead_rows_, parallel);
  }
  taken_ = false;
  current_ = kNowhere;
  if (ahead_) ahead_->release();
}

// Of few rows: more want most neurons, however they are read. Passes of other rows or
// layers take another time. A device may be slower than it was for a moment at opening.
void NeuronCache::time_pass() {
  if (pass_began_ && rows_of_pass_ <= RowGuess::kMostScored) {
    const double seconds = std::chrono::duration<double>(clock_.now() - *pass_began_).count();
    const std::uint64_t bytes = counters_.bytes_read - read_before_;
    if (seconds > 0 && bytes > 0 && seen_cost_.byte > 0) {
      const double byte = seconds / static_cast<double>(bytes);
      seen_cost_.byte = seen_cost_.byte * kFadingCost + byte * (1 - kFadingCost);
    }
    ways_.took(seconds, std::uint64_t{layers_} << 32 | rows_of_pass_);
  }
  pass_began_.reset();
  layers_ = 0;
}

void NeuronCache::end_pass(Parallel& parallel) {
  leave(parallel);
  if (is_guessing()) guess_->balance(pass_);
  time_pass();
  counters_.late += pass_.late;
  counters_.missed += pass_.missed;
  pass_ = {};
  if (++passes_ == kPassesAnAge) age();
}

void NeuronCache::age() {
  passes_ = 0;
  for (RowTable& table : tables_) {
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
void NeuronCache::keep(std::span<const Arrival> arrivals, Parallel& parallel) {
  if (owners_.empty()) return;
  RowTable& table = tables_[current_];
  moves_.clear();
  for (std::uint32_t i = 0; i < arrivals.size(); ++i) {
    const std::uint32_t row = arrivals[i].row;
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
    std::span<const Arrival> arrivals;
    std::uint32_t bytes;
    void run(std::size_t task) const {
      const std::size_t from = task * kRowsATask;
      const std::size_t to = std::min<std::size_t>(from + kRowsATask, cache.moves_.size());
      for (std::size_t i = from; i < to; ++i) {
        const auto [arrival, place] = cache.moves_[i];
        std::memcpy(cache.kept_.data() + std::size_t{place} * cache.kept_row_bytes_,
                    arrivals[arrival].data, bytes);
      }
    }
  } job{*this, arrivals, table.row_bytes};
  run_tasks(parallel, tasks_of(moves_.size()), job);
}

}  // namespace skein::paging
