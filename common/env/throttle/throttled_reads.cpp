#include <algorithm>
#include <array>
#include <map>

#include "common/env/throttle/throttled_disk.h"

namespace skein {

namespace {

class ThrottledReads final : public BlockReads {
 public:
  ThrottledReads(std::unique_ptr<BlockReads> below, SharedStorage& storage, BlockingClock& clock)
      : below_(std::move(below)),
        storage_(storage),
        clock_(clock),
        kind_(std::string(below_->kind()) + ", throttled") {}

  std::uint64_t size() const override { return below_->size(); }
  std::uint32_t alignment() const override { return below_->alignment(); }
  std::string_view kind() const override { return kind_; }
  Result<void> submit(std::span<const BlockRead> reads) override;
  std::size_t wait(std::span<BlockReadDone> done, std::size_t at_least,
                   std::chrono::nanoseconds deadline) override;

 private:
  struct Out {
    std::uint64_t tag;  // the caller's
    Instant end;        // as the model has it
  };
  using Key = std::pair<Instant, std::uint64_t>;  // end, number
  void collect(std::size_t at_least, Duration most);
  std::size_t ended(Instant now) const;

  std::unique_ptr<BlockReads> below_;
  SharedStorage& storage_;
  BlockingClock& clock_;
  std::string kind_;
  std::uint64_t number_ = 0;
  std::map<std::uint64_t, Out> out_;    // by number; the reads below carry it as their tag
  std::map<Key, BlockReadDone> there_;  // read, perhaps not yet ended
};

Result<void> ThrottledReads::submit(std::span<const BlockRead> reads) {
  TRY_VOID(check_block_reads(*this, reads, out_.size() + there_.size()));
  std::vector<BlockRead> numbered(reads.begin(), reads.end());
  for (std::size_t i = 0; i < numbered.size(); ++i) numbered[i].tag = number_ + i;
  TRY_VOID(below_->submit(numbered));
  const Instant now = clock_.now();
  for (const BlockRead& read : reads) {
    out_[number_++] = {read.tag, storage_.finish(now, read.out.size())};
  }
  return {};
}

void ThrottledReads::collect(std::size_t at_least, Duration most) {
  std::array<BlockReadDone, kMostInFlight> done;
  for (;;) {
    const std::size_t got = below_->wait(done, at_least, most);
    for (std::size_t i = 0; i < got; ++i) {
      const auto found = out_.find(done[i].tag);
      const Out out = found->second;
      there_.emplace(Key{out.end, found->first}, BlockReadDone{out.tag, std::move(done[i].result)});
      out_.erase(found);
    }
    if (got < done.size()) return;
    at_least = 0;
  }
}

std::size_t ThrottledReads::ended(Instant now) const {
  const auto last = there_.upper_bound(Key{now, UINT64_MAX});
  return static_cast<std::size_t>(std::distance(there_.begin(), last));
}

std::size_t ThrottledReads::wait(std::span<BlockReadDone> done, std::size_t at_least,
                                 std::chrono::nanoseconds deadline) {
  const std::size_t target = std::min({at_least, out_.size() + there_.size(), done.size()});
  const Instant begin = clock_.now();
  const bool forever = deadline >= Instant::max() - begin;
  const Instant until =
      forever ? Instant::max() : begin + std::max(deadline, std::chrono::nanoseconds{0});
  collect(0, Duration{0});
  for (Instant now = begin; ended(now) < target && now < until; now = clock_.now()) {
    if (there_.size() < target) {
      collect(1, until - now);
    } else {
      const auto wanted = std::next(there_.begin(), static_cast<std::ptrdiff_t>(target) - 1);
      clock_.sleep_until(std::min(wanted->first.first, until));
    }
    collect(0, Duration{0});
  }
  const std::size_t taken = std::min(ended(clock_.now()), done.size());
  for (std::size_t i = 0; i < taken; ++i) {
    done[i] = std::move(there_.begin()->second);
    there_.erase(there_.begin());
  }
  return taken;
}

}  // namespace

std::unique_ptr<BlockReads> throttled(std::unique_ptr<BlockReads> below, SharedStorage& storage,
                                      BlockingClock& clock) {
  return std::make_unique<ThrottledReads>(std::move(below), storage, clock);
}

}  // namespace skein
