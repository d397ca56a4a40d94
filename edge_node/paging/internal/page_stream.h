// PageStream: the pages that do not stay in memory, read ahead in the order in which passes come to
// them, through a fixed number of buffers. Owned by a Pager; a pass's thread.
//
// The order is a cycle: token after token the same pages. The buffers hold a stretch of it, from
// the page in use on; what is behind is given up and its buffer takes the next page that is not
// there yet, across the end of a token. A pass that goes elsewhere (without the head, or other
// layers) makes the stream begin anew there. A page is compared with its hash when it comes for the
// first time, and from then on with the tag that it had; a coded one is handed over as it came, for
// CodedPages to verify.
#pragma once

#include <span>
#include <vector>

#include "common/crypto/tagger.h"
#include "common/env/env.h"
#include "edge_node/paging/internal/aligned_memory.h"
#include "edge_node/paging/internal/stored_pages.h"
#include "edge_node/paging/pager_counters.h"

namespace skein::paging {

class PageStream {
 public:
  struct Options {
    std::vector<std::uint32_t> cycle;  // pages, in order
    std::uint32_t slots = 0;
    std::uint32_t slot_bytes = 0;
    TagKey tag_key{};
    Meanwhile meanwhile{};
  };
  PageStream(const StoredPages& pages, std::unique_ptr<BlockReads> reads, Clock& clock,
             PagerCounters& counters, Options options);

  std::uint32_t slots() const { return static_cast<std::uint32_t>(slots_.size()); }
  // Passes walk through entries [first, last) of the cycle, over and over.
  void set_range(std::uint32_t first, std::uint32_t last);
  // Entries [first, first + count) of the cycle, at most slots(); gives up what is before, and
  // reads on: at once, or, where these are there and other reads come first, with read_on().
  Result<void> take(std::uint32_t first, std::uint32_t count, Parallel& parallel,
                    bool others_first = false);
  Result<void> read_on();
  // A page of the stretch taken last, as it stands in the file.
  const std::byte* at(std::uint32_t entry) const;
  // What was read is read again: it was not what it must be.
  Result<void> forget() { return drop(held_); }

 private:
  enum class State : unsigned char { kEmpty, kReading, kRead, kVerified };
  struct Slot {
    State state = State::kEmpty;
    std::uint32_t entry = 0;
    std::byte* memory = nullptr;
    Result<void> result;
  };
  Slot& slot(std::uint32_t place) { return slots_[(front_ + place) % slots_.size()]; }
  const Slot& slot(std::uint32_t place) const { return slots_[(front_ + place) % slots_.size()]; }
  std::uint32_t page_of(const Slot& slot) const { return cycle_[slot.entry]; }
  const std::byte* data_of(const Slot& slot) const;
  std::uint32_t after(std::uint32_t entry) const;
  bool has_come(std::uint32_t count) const;
  Result<void> drop(std::uint32_t count);
  BlockRead begin(std::uint32_t entry);
  Result<void> fill(std::uint32_t next);
  Result<void> collect(std::size_t at_least);
  Result<void> check(const Slot& slot, std::size_t task);
  Result<void> verify(std::uint32_t count, Parallel& parallel);

  const StoredPages& pages_;
  Clock& clock_;
  PagerCounters& counters_;
  std::vector<std::uint32_t> cycle_;
  Meanwhile meanwhile_;
  std::uint32_t slot_bytes_;
  AlignedMemory memory_;
  std::vector<Slot> slots_;      // a ring
  std::vector<Sha256> hashers_;  // a task each
  std::vector<Tagger> taggers_;  // likewise
  std::vector<Tag> tags_;        // of the cycle's pages, once they were verified
  std::vector<std::uint8_t> has_tag_;
  std::uint32_t front_ = 0;
  std::uint32_t held_ = 0;  // slots in use, from the front on
  std::uint32_t first_ = 0, last_ = 0;
  std::vector<BlockRead> wanted_;         // scratch
  std::vector<std::uint32_t> unchecked_;  // scratch
  std::unique_ptr<BlockReads> reads_;     // last: gone before the memory that it writes to
};

}  // namespace skein::paging
