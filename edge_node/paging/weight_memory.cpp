#include "edge_node/paging/weight_memory.h"

#include "common/base/check.h"
#include "common/env/pressure/pressure.h"

namespace skein {

namespace paging {

// What is known of an artifact file, and its pager while its weights are in memory.
struct Room {
  std::string file;
  Digest artifact;
  Manifest manifest;
  std::uint32_t alignment = 1;
  std::uint32_t sessions = 1;
  std::shared_ptr<DamagedPages> damaged = std::make_shared<DamagedPages>();
  std::atomic<bool> stale = false;  // what is in memory was read from a file that is gone
  // Compute's.
  std::unique_ptr<Pager> pager;
  std::uint64_t budget = 0;       // that it was opened under
  std::uint64_t left_behind = 0;  // of the model, when the pager is closed
};

}  // namespace paging

using paging::Room;

namespace {

constexpr std::uint64_t kSessionsPart = 4;  // of the budget, that more than one session may take

std::uint64_t bytes_of(const Manifest& manifest) {
  std::uint64_t bytes = manifest.pages.size() * sizeof(PageEntry);
  for (const TensorEntry& tensor : manifest.tensors) {
    bytes += sizeof(TensorEntry) + tensor.name.size() + tensor.segments.size() * sizeof(Segment);
  }
  return bytes;
}

std::string at_least(std::uint64_t bytes) {
  return "give at least " + std::to_string((bytes >> 20U) + 2) + "M";
}

}  // namespace

BudgetedPages::BudgetedPages(std::shared_ptr<Room> room) : room_(std::move(room)) {}
BudgetedPages::~BudgetedPages() = default;

const Manifest& BudgetedPages::manifest() const { return room_->manifest; }
const std::string& BudgetedPages::file() const { return room_->file; }
std::uint32_t BudgetedPages::sessions() const { return room_->sessions; }
std::vector<std::uint32_t> BudgetedPages::take_damaged() { return room_->damaged->take(); }
void BudgetedPages::read_anew() { room_->stale = true; }

Result<ByteView> BudgetedPages::page(PageIndex index) {
  CHECK(room_->pager);
  return room_->pager->page(index);
}

Result<void> BudgetedPages::read(PageIndex index, std::uint64_t offset, MutableByteView out) {
  CHECK(room_->pager);
  return room_->pager->read(index, offset, out);
}

PagedTensors* BudgetedPages::paged() {
  CHECK(room_->pager);
  return room_->pager->paged();
}

bool BudgetedPages::holds_screen() const {
  CHECK(room_->pager);
  return room_->pager->holds_screen();
}

std::uint32_t BudgetedPages::most_rows() const {
  CHECK(room_->pager);
  return room_->pager->most_rows();
}

WeightMemory::WeightMemory(Env env, Options options)
    : env_(env), options_(std::move(options)), budget_(options_.budget) {
  env_.random.fill(key_);
}
WeightMemory::~WeightMemory() = default;

ResidencyRequest WeightMemory::request_for(const Room& room, std::uint64_t now,
                                           std::uint64_t budget) const {
  const std::uint64_t part = options_.extra_part == 0 ? 0 : budget / options_.extra_part;
  ResidencyRequest request = {.budget = now,
                              .baseline = options_.baseline,
                              .extra = options_.extra + part + bytes_of(room.manifest),
                              .sessions = room.sessions,
                              .alignment = room.alignment};
  const std::scoped_lock lock(mutex_);
  for (const auto& weak : rooms_) {
    const auto other = weak.lock();
    if (!other || other.get() == &room) continue;
    request.extra += other->left_behind + bytes_of(other->manifest);
  }
  return request;
}

// As many as take no more than a part of it; one at least.
Result<std::uint32_t> WeightMemory::sessions_within(const Room& room, std::uint64_t budget) const {
  ResidencyRequest request = request_for(room, budget, budget);
  request.sessions = 1;
  TRY(const std::uint64_t least, smallest_budget(room.manifest, request));
  const std::uint64_t most = std::min(budget, least + budget / kSessionsPart);
  for (request.sessions = options_.sessions; request.sessions > 1; request.sessions /= 2) {
    TRY(const std::uint64_t needed, smallest_budget(room.manifest, request));
    if (needed <= most) break;
  }
  return std::max(request.sessions, 1U);
}

// What it takes grows with the budget, but less.
Result<std::uint64_t> WeightMemory::least_to_configure(const Room& room, std::uint64_t lent) const {
  std::uint64_t budget = options_.budget;
  for (int i = 0; i < 32; ++i) {
    ResidencyRequest request = request_for(room, budget, budget);
    TRY(request.sessions, sessions_within(room, budget));
    TRY(const std::uint64_t least, smallest_budget(room.manifest, request));
    if (least + lent <= budget) break;
    budget = least + lent;
  }
  return budget;
}

std::uint64_t WeightMemory::left_to_models() const {
  const std::uint64_t budget = budget_;
  return budget - std::min<std::uint64_t>(budget, lent_);
}

Result<WeightMemory::Loan> WeightMemory::lend(const BudgetedPages& pages, std::uint64_t bytes) {
  const std::uint64_t lent = lent_ + bytes;
  TRY(const std::uint64_t enough, least_to_configure(*pages.room_, lent));
  if (enough > options_.budget) {
    return fail(
        Errc::kOutOfRoom,
        std::to_string(bytes) + " bytes more do not fit into " + std::to_string(options_.budget),
        options_.budget_name, at_least(enough));
  }
  TRY(const std::uint64_t least, smallest(pages));
  if (least + bytes > budget_) {
    return fail(Errc::kUnavailable, "memory is short at present", options_.budget_name,
                "it is tried again later");
  }
  return Loan(*this, bytes);
}

Result<std::unique_ptr<BudgetedPages>> WeightMemory::look_at(const std::string& path,
                                                             const Digest& artifact) {
  auto room = std::make_shared<Room>();
  TRY(Pager::Artifact found, Pager::look_at(env_.disk, path));
  if (found.digest != artifact) {
    return fail(Errc::kCorrupt,
                "it holds " + found.digest.short_hex() + ", not " + artifact.short_hex(), path,
                "remove it");
  }
  room->file = path;
  room->artifact = artifact;
  room->alignment = found.alignment;
  room->manifest = std::move(found.manifest);
  const std::uint64_t budget = options_.budget;
  TRY(const std::uint64_t least,
      smallest_budget(room->manifest, request_for(*room, budget, budget)));
  TRY(room->sessions, sessions_within(*room, budget));
  if (least > budget) {
    TRY(const std::uint64_t enough, least_to_configure(*room, 0));
    return fail(Errc::kOutOfRoom, "the model does not run in " + std::to_string(budget) + " bytes",
                options_.budget_name, at_least(enough));
  }
  const std::scoped_lock lock(mutex_);
  std::erase_if(rooms_, [](const auto& weak) { return weak.expired(); });
  rooms_.push_back(room);
  return std::make_unique<BudgetedPages>(std::move(room));
}

Result<std::uint64_t> WeightMemory::smallest(const BudgetedPages& pages) const {
  const std::uint64_t budget = options_.budget;
  TRY(const std::uint64_t least,
      smallest_budget(pages.manifest(), request_for(*pages.room_, budget, budget)));
  return least + lent_;
}

Result<WeightMemory::Stay> WeightMemory::enter(BudgetedPages& pages, Model* model) {
  Room& room = *pages.room_;
  const std::uint64_t budget = left_to_models();
  const bool stale = room.stale.exchange(false);
  if (resident_ == pages.room_ && !stale) {
    // All of it is in memory: more is of no use.
    const bool whole = budget > room.budget && !room.pager->plan().pages_anything();
    if (room.budget == budget || whole) return Stay(this);
  }
  if (resident_) close(*resident_);
  resident_.reset();
  TRY_VOID(open(room, budget));
  if (model != nullptr) {
    if (auto read = model->reread(pages); !read) {
      close(room);
      return tl::unexpected<Error>(std::move(read.error()));
    }
  }
  resident_ = pages.room_;
  return Stay(this);
}

void WeightMemory::leave(BudgetedPages& pages) {
  if (resident_ != pages.room_) return;
  close(*resident_);
  resident_.reset();
}

Result<void> WeightMemory::open(Room& room, std::uint64_t budget) {
  TRY(Pager::Artifact artifact, Pager::look_at(env_.disk, room.file));
  if (artifact.digest != room.artifact) {
    return fail(Errc::kCorrupt, "the file is no longer " + room.artifact.short_hex(), room.file,
                "do not change it while it is in use");
  }
  artifact.damaged = room.damaged;
  TRY(ResidencyPlan plan,
      plan_residency(artifact.manifest, request_for(room, budget, options_.budget)));
  {
    const std::scoped_lock lock(mutex_);
    room.left_behind = plan.left_behind;
  }
  TRY(room.pager, Pager::open(env_.disk, env_.clock, env_.compute.parallel(), std::move(artifact),
                              std::move(plan), key_));
  env_.pressure.give_back();  // what opening took
  room.budget = budget;
  const std::scoped_lock lock(mutex_);
  ++openings_;
  return {};
}

void WeightMemory::close(Room& room) {
  const std::scoped_lock lock(mutex_);
  if (room.pager) before_ += room.pager->counters();
  noted_ = before_;
  room.pager.reset();
}

void WeightMemory::note_counters() {
  const std::scoped_lock lock(mutex_);
  noted_ = before_;
  if (resident_) noted_ += resident_->pager->counters();
}

PagerCounters WeightMemory::counters() const {
  const std::scoped_lock lock(mutex_);
  return noted_;
}

std::uint64_t WeightMemory::openings() const {
  const std::scoped_lock lock(mutex_);
  return openings_;
}

}  // namespace skein
