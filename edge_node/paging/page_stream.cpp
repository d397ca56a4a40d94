#include "edge_node/paging/internal/page_stream.h"

#include <algorithm>

#include "common/base/check.h"

namespace skein::paging {

PageStream::PageStream(const StoredPages& pages, std::unique_ptr<BlockReads> reads, Clock& clock,
                       PagerCounters& counters, Options options)
    : pages_(pages),
      clock_(clock),
      counters_(counters),
      cycle_(std::move(options.cycle)),
      meanwhile_(std::move(options.meanwhile)),
      slot_bytes_(options.slot_bytes),
      memory_(std::size_t{options.slots} * options.slot_bytes),
      slots_(options.slots),
      hashers_(options.slots),
      tags_(pages.coded ? 0 : cycle_.size()),
      has_tag_(tags_.size()),
      last_(static_cast<std::uint32_t>(cycle_.size())),
      reads_(std::move(reads)) {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    slots_[i].memory = memory_.data() + i * slot_bytes_;
  }
  for (std::uint32_t i = 0; i < options.slots; ++i) taggers_.emplace_back(options.tag_key);
  wanted_.reserve(slots_.size());
  unchecked_.reserve(slots_.size());
}

void PageStream::set_range(std::uint32_t first, std::uint32_t last) {
  CHECK(first <= last && last <= cycle_.size());
  first_ = first;
  last_ = last;
}

std::uint32_t PageStream::after(std::uint32_t entry) const {
  return entry + 1 >= last_ || entry + 1 < first_ ? first_ : entry + 1;
}

const std::byte* PageStream::data_of(const Slot& slot) const {
  return slot.memory + pages_.range_of(page_of(slot), reads_->alignment()).lead;
}

const std::byte* PageStream::at(std::uint32_t entry) const {
  for (std::uint32_t i = 0; i < held_; ++i) {
    const Slot& held = slot(i);
    if (held.entry != entry) continue;
    CHECK(held.state == State::kVerified);
    return data_of(held);
  }
  CHECK(false);
  return nullptr;
}

// Buffers that are being read into are waited for: their memory is not free before.
Result<void> PageStream::drop(std::uint32_t count) {
  for (; count > 0; --count) {
    while (slot(0).state == State::kReading) TRY_VOID(collect(1));
    slot(0).state = State::kEmpty;
    front_ = (front_ + 1) % slots();
    --held_;
  }
  return {};
}

// The read of `entry` into the first slot that is not in use.
BlockRead PageStream::begin(std::uint32_t entry) {
  Slot& next = slot(held_++);
  const WholeRange range = pages_.range_of(cycle_[entry], reads_->alignment());
  CHECK(range.size <= slot_bytes_);
  next.state = State::kReading;
  next.entry = entry;
  counters_.bytes_read += range.size;
  return {
      range.first, {next.memory, range.size}, static_cast<std::uint64_t>(&next - slots_.data())};
}

// Every buffer that is free takes the next page.
Result<void> PageStream::fill(std::uint32_t next) {
  wanted_.clear();
  while (held_ < slots()) {
    wanted_.push_back(begin(next));
    next = after(next);
  }
  if (wanted_.empty()) return {};
  const auto submitted = reads_->submit(wanted_);
  if (!submitted) held_ -= static_cast<std::uint32_t>(wanted_.size());
  return submitted;
}

Result<void> PageStream::collect(std::size_t at_least) {
  BlockReadDone done[BlockReads::kMostInFlight];
  const std::size_t taken = reads_->wait(done, at_least, kReadDeadline);
  if (taken < at_least) {
    return fail(Errc::kDeadline, "storage did not answer in a minute", pages_.file,
                "check the device");
  }
  for (std::size_t i = 0; i < taken; ++i) {
    Slot& slot = slots_[done[i].tag];
    slot.state = State::kRead;
    slot.result = std::move(done[i].result);
  }
  return {};
}

Result<void> PageStream::check(const Slot& slot, std::size_t task) {
  if (pages_.coded) return {};
  const std::uint32_t page = page_of(slot);
  const ByteView bytes(data_of(slot), pages_.manifest.pages[page].bytes);
  const Tag tag = taggers_[task].of(bytes);
  if (has_tag_[slot.entry] != 0 && tag == tags_[slot.entry]) return {};
  TRY_VOID(pages_.check(page, bytes, hashers_[task]));
  tags_[slot.entry] = tag;
  has_tag_[slot.entry] = 1;
  return {};
}

// Of the first `count`, those that have come and are not verified yet.
Result<void> PageStream::verify(std::uint32_t count, Parallel& parallel) {
  unchecked_.clear();
  for (std::uint32_t i = 0; i < count; ++i) {
    if (slot(i).state == State::kRead) unchecked_.push_back(i);
  }
  struct Job {
    PageStream& stream;
    void run(std::size_t i) const {
      Slot& slot = stream.slot(stream.unchecked_[i]);
      if (!slot.result) return;
      slot.result = stream.check(slot, i);
    }
  } job{*this};
  const Instant began = clock_.now();
  run_tasks(parallel, unchecked_.size(), job);
  counters_.verifying += clock_.now() - began;
  for (const std::uint32_t i : unchecked_) {
    if (slot(i).result) {
      slot(i).state = State::kVerified;
      continue;
    }
    const Error error = pages_.of_page(page_of(slot(i)), slot(i).result.error());
    // Read again by whoever asks next.
    TRY_VOID(drop(held_));
    return tl::unexpected<Error>(error);
  }
  return {};
}

Result<void> PageStream::read_on() {
  return held_ == 0 ? Result<void>{} : fill(after(slot(held_ - 1).entry));
}

bool PageStream::has_come(std::uint32_t count) const {
  for (std::uint32_t i = 0; i < count; ++i) {
    if (i >= held_ || slot(i).state == State::kReading) return false;
  }
  return true;
}

Result<void> PageStream::take(std::uint32_t first, std::uint32_t count, Parallel& parallel,
                              bool others_first) {
  CHECK(count > 0 && count <= slots());
  std::uint32_t place = 0;
  while (place < held_ && slot(place).entry != first) ++place;
  if (place == held_ && held_ > 0) ++counters_.restarts;
  TRY_VOID(drop(place));
  TRY_VOID(collect(0));
  if (!others_first || !has_come(count)) {
    TRY_VOID(fill(held_ == 0 ? first : after(slot(held_ - 1).entry)));
  }
  std::uint32_t there = 0;
  for (std::uint32_t i = 0; i < count; ++i) there += slot(i).state != State::kReading ? 1U : 0U;
  counters_.hits += there;
  counters_.misses += count - there;
  TRY_VOID(verify(count, parallel));
  for (;;) {
    std::uint32_t ready = 0;
    for (std::uint32_t i = 0; i < count; ++i) ready += slot(i).state == State::kVerified ? 1U : 0U;
    if (ready == count) return {};
    if (meanwhile_ && meanwhile_()) {
      TRY_VOID(collect(0));
    } else {
      const Instant began = clock_.now();
      TRY_VOID(collect(1));
      counters_.stalled += clock_.now() - began;
    }
    TRY_VOID(verify(count, parallel));
  }
}

}  // namespace skein::paging
