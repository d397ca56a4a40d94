// WeightMemory: the memory that the weights of a process's models may take under a budget, one
// model's at a time. A model that computes while another's weights are there takes the memory over
// and reads its own again: so two slots never hold more than the budget, and a switch waits for no
// answer. A model is let in where each one, with its sessions, runs beside what the others keep. A
// budget that changes is met before the next pass: the pager is closed and opened with
// another plan, states are elsewhere and no bit of a result changes.
//
// Owned by the app. Where a comment says Compute, in a job there, which run one after another; all
// else from any thread.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/crypto/tagger.h"
#include "common/env/env.h"
#include "common/model/model.h"
#include "edge_node/paging/pager.h"

namespace skein {

namespace paging {
struct Room;
}

// The pages of one artifact file, in memory or not. Made by a WeightMemory, which outlives it; its
// pages are to be had between enter() and the end of what that returned.
class BudgetedPages final : public PageSource {
 public:
  explicit BudgetedPages(std::shared_ptr<paging::Room> room);
  ~BudgetedPages() override;
  const Manifest& manifest() const override;
  Result<ByteView> page(PageIndex index) override;
  Result<void> read(PageIndex index, std::uint64_t offset, MutableByteView out) override;
  PagedTensors* paged() override;
  bool holds_screen() const override;
  std::uint32_t most_rows() const override;

  const std::string& file() const;
  std::uint32_t sessions() const;  // at once: as many as there is room for
  // Pages that did not match their hashes or could not be read since this was asked last.
  std::vector<std::uint32_t> take_damaged();
  // From the next enter() on they are read from the file anew, which was replaced.
  void read_anew();

 private:
  friend class WeightMemory;
  std::shared_ptr<paging::Room> room_;
};

class WeightMemory {
 public:
  struct Options {
    std::uint64_t budget = 0;      // bytes, of the process
    std::uint64_t baseline = 0;    // that it holds before the first model
    std::uint64_t extra = 0;       // that all else will take ...
    std::uint64_t extra_part = 0;  // ... and one part in so many of `budget`; 0: none
    std::uint32_t sessions = 1;    // at most, at once
    std::string budget_name{};     // where it was set, for messages
  };
  WeightMemory(Env env, Options options);
  ~WeightMemory();
  WeightMemory(const WeightMemory&) = delete;
  WeightMemory& operator=(const WeightMemory&) = delete;

  // While this lives a model's weights are in memory. Ends in the job in which it began.
  class Stay {
   public:
    explicit Stay(WeightMemory* memory) : memory_(memory) {}
    Stay(Stay&& other) noexcept : memory_(std::exchange(other.memory_, nullptr)) {}
    Stay& operator=(Stay&&) = delete;
    ~Stay() {
      if (memory_ != nullptr) memory_->note_counters();
    }

   private:
    WeightMemory* memory_;
  };

  // While this lives so much of the budget is somebody else's, and models get along with less.
  class Loan {
   public:
    Loan(WeightMemory& memory, std::uint64_t bytes) : memory_(&memory), bytes_(bytes) {
      memory_->lent_ += bytes_;
    }
    Loan(Loan&& other) noexcept
        : memory_(std::exchange(other.memory_, nullptr)), bytes_(other.bytes_) {}
    Loan& operator=(Loan&&) = delete;
    ~Loan() {
      if (memory_ != nullptr) memory_->lent_ -= bytes_;
    }

   private:
    WeightMemory* memory_;
    std::uint64_t bytes_;
  };
  // Errc::kOutOfRoom with the smallest budget beside which `pages` still run; kUnavailable while
  // the budget is smaller than what was configured. The memory is free after the next enter().
  Result<Loan> lend(const BudgetedPages& pages, std::uint64_t bytes);

  // An artifact file; nothing of it is in memory but the manifest. Errors as Pager::look_at's;
  // Errc::kOutOfRoom with the smallest budget that works, also when it is so for a model that is
  // computed with, beside which this one would be; kUnavailable while memory is lent, or so short
  // that it does not fit now; kCorrupt when it is another artifact.
  Result<std::unique_ptr<BudgetedPages>> look_at(const std::string& path, const Digest& artifact);
  // Compute: the pages' memory, for `model`, which was opened from them, or to open one (nullptr).
  // Errors name the page; nothing is in memory then, and the next call tries again.
  Result<Stay> enter(BudgetedPages& pages, Model* model);
  // Before so many sessions compute, one of which begins now: whether plan_sessions() has anything
  // to do.
  bool must_plan(std::size_t sessions);
  // Compute: memory for their states is free when it returns, up to BudgetedPages::sessions();
  // weights get what fewer leave. Errors as smallest_budget's.
  Result<void> plan_sessions(std::size_t sessions);
  std::uint32_t planned_sessions() const { return planned_; }
  // Several models: none keeps copies of states or logits while it does not compute.
  bool takes_turns() const;
  // Compute: their memory is given back now, not when another model's are wanted.
  void leave(BudgetedPages& pages);

  std::uint64_t budget() const { return budget_; }
  void set_budget(std::uint64_t bytes) { budget_ = bytes; }  // from the next enter() on
  std::uint64_t lent() const { return lent_; }
  // Whether another artifact like this one could take its place while answers go on: else
  // Errc::kOutOfRoom with the smallest budget in which it could.
  Result<void> can_exchange(const BudgetedPages& pages) const;
  // The least that every model which is still computed with can be run in, beside what is lent and
  // what the others keep, while as much is configured as is.
  Result<std::uint64_t> smallest() const;

  // Of all pagers so far, as of the last stay's end.
  PagerCounters counters() const;
  std::uint64_t openings() const;  // how often weights were read into memory

 private:
  using Rooms = std::vector<std::shared_ptr<paging::Room>>;

  // In `now` of a configured `budget`, `beside` so many bytes of other models.
  ResidencyRequest request_for(const paging::Room& room, std::uint64_t now, std::uint64_t budget,
                               std::uint64_t beside) const;
  Rooms alive() const;
  std::uint64_t beside(const paging::Room& room) const;
  std::uint64_t most_beside(const paging::Room& room) const;
  Result<void> take_in(const std::shared_ptr<paging::Room>& room);
  Result<std::uint32_t> sessions_within(const paging::Room& room, std::uint64_t budget) const;
  Result<std::uint64_t> least_for(const Rooms& rooms, std::uint64_t budget, bool anew) const;
  Result<std::uint64_t> least_to_configure(const Rooms& rooms, std::uint64_t lent) const;
  std::uint64_t left_to_models() const;
  std::uint32_t sessions_of(const paging::Room& room) const;
  Result<void> open(paging::Room& room, std::uint64_t budget);
  void close(paging::Room& room);
  void note_counters();

  Env env_;
  Options options_;
  TagKey key_{};
  std::atomic<std::uint64_t> budget_;
  std::atomic<std::uint64_t> lent_ = 0;
  std::atomic<std::uint32_t> planned_ = 1;  // a power of two
  std::atomic<Instant> crowded_{};          // when so many were wanted last
  mutable std::mutex mutex_;
  std::vector<std::weak_ptr<paging::Room>> rooms_;
  std::shared_ptr<paging::Room> resident_;  // Compute
  PagerCounters before_;                    // of pagers that are closed
  PagerCounters noted_;
  std::uint64_t openings_ = 0;
};

}  // namespace skein
