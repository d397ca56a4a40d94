#include "edge_node/paging/weight_memory.h"

#include <bit>

#include "common/base/check.h"
#include "common/env/pressure/pressure.h"
#include "edge_node/paging/paging_rates.h"

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
  std::uint64_t left_at_most = 0;
  bool in_company = false;                 // it was opened so: with less memory, and no page coded
  std::uint32_t planned = 1;               // sessions that it was opened for
  std::optional<MeasuredPaging> measured;  // Compute's
};

}  // namespace paging

using paging::Room;

namespace {

constexpr std::uint64_t kSessionsPart = 4;  // of the budget, that more than one session may take
// Memory for more sessions than there are is kept so long: giving it to weights reads them anew.
constexpr std::chrono::minutes kSessionsKept{5};

std::uint64_t bytes_of(const Manifest& manifest) {
  std::uint64_t bytes = manifest.pages.size() * sizeof(PageEntry);
  for (const TensorEntry& tensor : manifest.tensors) {
    bytes += sizeof(TensorEntry) + tensor.name.size() + tensor.segments.size() * sizeof(Segment);
  }
  return bytes;
}

// Of the bytes that a model leaves behind, those beside a room's: a vocabulary that both have is
// in memory once.
std::uint64_t beside_of(const Manifest& manifest, std::uint64_t left, const Manifest& others) {
  const bool shares = have_same_vocabulary(manifest, others);
  return left - std::min(left, shares ? vocabulary_bytes(manifest) : 0) + bytes_of(manifest);
}

// Answers that began with another model of more sessions go on beside this one's.
std::uint64_t states_beside(std::uint32_t sessions, std::uint32_t others,
                            const Manifest& manifest) {
  return others <= sessions ? 0 : (others - sessions) * RwkvState(manifest.config).bytes();
}

std::string at_least(std::uint64_t bytes) {
  return "give at least " + std::to_string((bytes >> 20U) + 2) + "M";
}

tl::unexpected<Error> short_at_present(const std::string& budget_name) {
  return fail(Errc::kUnavailable, "memory is short at present", budget_name,
              "it is tried again later");
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
                                           std::uint64_t budget, std::uint64_t beside) const {
  const std::uint64_t part = options_.extra_part == 0 ? 0 : budget / options_.extra_part;
  return {.budget = now,
          .baseline = options_.baseline,
          .extra = options_.extra + part + bytes_of(room.manifest) + beside,
          .sessions = room.sessions,
          .alignment = room.alignment,
          .threads = static_cast<std::uint32_t>(env_.compute.parallel().threads())};
}

WeightMemory::Rooms WeightMemory::alive() const {
  const std::scoped_lock lock(mutex_);
  Rooms rooms;
  for (const auto& weak : rooms_) {
    if (auto room = weak.lock()) rooms.push_back(std::move(room));
  }
  return rooms;
}

// What the other models keep while this one's weights are in memory.
std::uint64_t WeightMemory::beside(const Room& room) const {
  std::uint64_t bytes = 0;
  const Rooms rooms = alive();
  const std::scoped_lock lock(mutex_);
  for (const auto& other : rooms) {
    if (other.get() == &room) continue;
    bytes += beside_of(other->manifest, other->left_behind, room.manifest) +
             states_beside(sessions_of(room), sessions_of(*other), other->manifest);
  }
  return bytes;
}

// Whatever happens, sessions apart.
std::uint64_t WeightMemory::most_beside(const Room& room) const {
  std::uint64_t bytes = 0;
  for (const auto& other : alive()) {
    if (other.get() == &room) continue;
    bytes += beside_of(other->manifest, other->left_at_most, room.manifest);
  }
  return bytes;
}

// As many as take no more than a part of the budget, and leave room for another model of this kind
// which takes this one's place while they go on; one at least.
Result<std::uint32_t> WeightMemory::sessions_within(const Room& room, std::uint64_t budget) const {
  const std::uint64_t next = beside_of(room.manifest, room.left_at_most, room.manifest);
  ResidencyRequest request = request_for(room, budget, budget, std::max(most_beside(room), next));
  request.sessions = 1;
  TRY(const std::uint64_t least, smallest_budget(room.manifest, request));
  const std::uint64_t most = std::min(budget, least + budget / kSessionsPart);
  for (request.sessions = options_.sessions; request.sessions > 1; --request.sessions) {
    TRY(const std::uint64_t needed, smallest_budget(room.manifest, request));
    if (needed <= most) break;
  }
  return std::max(request.sessions, 1U);
}

// Each of them in turn, beside what the others leave. With so much configured; with the sessions
// that they were let in with, or with those that they would be then.
Result<std::uint64_t> WeightMemory::least_for(const Rooms& rooms, std::uint64_t budget,
                                              bool anew) const {
  std::uint64_t most = 0;
  for (const auto& room : rooms) {
    std::uint64_t beside = 0;
    for (const auto& other : rooms) {
      if (other == room) continue;
      beside += beside_of(other->manifest, other->left_at_most, room->manifest);
      if (!anew) beside += states_beside(room->sessions, other->sessions, other->manifest);
    }
    ResidencyRequest request = request_for(*room, budget, budget, beside);
    if (anew) {
      TRY(request.sessions, sessions_within(*room, budget));
    }
    TRY(const std::uint64_t least, smallest_budget(room->manifest, request));
    most = std::max(most, least);
  }
  return most;
}

// What they take grows with the budget, but less.
Result<std::uint64_t> WeightMemory::least_to_configure(const Rooms& rooms,
                                                       std::uint64_t lent) const {
  std::uint64_t budget = options_.budget;
  for (int i = 0; i < 32; ++i) {
    TRY(const std::uint64_t least, least_for(rooms, budget, true));
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
  TRY(const std::uint64_t enough, least_to_configure({pages.room_}, lent));
  if (enough > options_.budget) {
    return fail(
        Errc::kOutOfRoom,
        std::to_string(bytes) + " bytes more do not fit into " + std::to_string(options_.budget),
        options_.budget_name, at_least(enough));
  }
  TRY(const std::uint64_t least, smallest());
  if (least + bytes > budget_) {
    return short_at_present(options_.budget_name);
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
  TRY_VOID(take_in(room));
  return std::make_unique<BudgetedPages>(std::move(room));
}

Result<void> WeightMemory::take_in(const std::shared_ptr<Room>& room) {
  const std::uint64_t budget = options_.budget;
  TRY(const std::uint64_t alone, least_for({room}, budget, false));
  if (alone > budget) {
    TRY(const std::uint64_t enough, least_to_configure({room}, 0));
    return fail(Errc::kOutOfRoom, "the model does not run in " + std::to_string(budget) + " bytes",
                options_.budget_name, at_least(enough));
  }
  TRY(const ResidencyPlan widest,
      plan_residency(room->manifest, request_for(*room, budget, budget, 0)));
  room->left_at_most = widest.left_behind;
  TRY(room->sessions, sessions_within(*room, budget));
  Rooms rooms = alive();
  rooms.push_back(room);
  TRY(const std::uint64_t together, least_for(rooms, budget, false));
  if (together > budget) {
    TRY(const std::uint64_t enough, least_to_configure(rooms, 0));
    return fail(Errc::kOutOfRoom,
                "the model does not run in " + std::to_string(budget) +
                    " bytes beside the one that answers until then",
                options_.budget_name, at_least(enough));
  }
  if (together > left_to_models()) return short_at_present(options_.budget_name);
  const std::scoped_lock lock(mutex_);
  std::erase_if(rooms_, [](const auto& weak) { return weak.expired(); });
  rooms_.push_back(room);
  return {};
}

Result<void> WeightMemory::can_exchange(const BudgetedPages& pages) const {
  const auto next = std::make_shared<Room>();
  next->manifest = pages.manifest();
  next->alignment = pages.room_->alignment;
  next->left_at_most = pages.room_->left_at_most;
  const Rooms rooms = {pages.room_, next};
  TRY(const std::uint64_t least, least_for(rooms, options_.budget, false));
  if (least <= options_.budget) return {};
  TRY(const std::uint64_t enough, least_to_configure(rooms, 0));
  return fail(Errc::kOutOfRoom, "another model of this size does not fit beside it for the switch",
              options_.budget_name, at_least(enough));
}

Result<std::uint64_t> WeightMemory::smallest() const {
  TRY(const std::uint64_t least, least_for(alive(), options_.budget, false));
  return least + lent_;
}

Result<WeightMemory::Stay> WeightMemory::enter(BudgetedPages& pages, Model* model) {
  Room& room = *pages.room_;
  const std::uint64_t budget = left_to_models();
  const bool stale = room.stale.exchange(false);
  if (resident_ == pages.room_ && !stale) {
    // All of it is in memory: more is of no use.
    const bool whole = budget >= room.budget && !room.pager->plan().pages_anything();
    const bool as_planned = room.budget == budget && room.planned == sessions_of(room);
    const bool regains = room.in_company && alive().size() == 1;
    if ((as_planned && !regains) || whole) return Stay(this);
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

bool WeightMemory::takes_turns() const { return alive().size() > 1; }

std::uint32_t WeightMemory::sessions_of(const Room& room) const {
  return std::min<std::uint32_t>(room.sessions, planned_);
}

bool WeightMemory::must_plan(std::size_t sessions) {
  const std::uint32_t wanted = std::bit_ceil(static_cast<std::uint32_t>(sessions));
  if (wanted == planned_) crowded_ = env_.clock.now();
  return wanted > planned_ ||
         (wanted < planned_ && env_.clock.now() - crowded_.load() > kSessionsKept);
}

Result<void> WeightMemory::plan_sessions(std::size_t sessions) {
  if (!must_plan(sessions)) return {};
  planned_ = std::bit_ceil(static_cast<std::uint32_t>(sessions));
  crowded_ = env_.clock.now();
  if (!resident_ || sessions_of(*resident_) <= resident_->planned) return {};
  Room& room = *resident_;
  // What the plan left over may be enough.
  ResidencyRequest request = request_for(room, room.budget, options_.budget, 0);
  request.sessions = room.planned;
  TRY(const std::uint64_t before, smallest_budget(room.manifest, request));
  request.sessions = sessions_of(room);
  TRY(const std::uint64_t after, smallest_budget(room.manifest, request));
  if (room.pager->plan().total() + (after - before) <= left_to_models()) {
    room.planned = request.sessions;
    return {};
  }
  close(room);
  resident_.reset();
  env_.pressure.give_back();
  return {};
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
  ResidencyRequest request = request_for(room, budget, options_.budget, beside(room));
  request.sessions = sessions_of(room);
  if (!room.measured) {
    TRY(room.measured, measure_paging(env_.disk, env_.clock, env_.compute.parallel(), artifact));
  }
  request.rates = room.measured->rates;
  // Pages are coded when they are read in, which is not for models that take turns.
  room.in_company = alive().size() > 1;
  if (!room.in_company) request.coded_share = room.measured->coded_share;
  auto plan = plan_residency(artifact.manifest, request);
  if (!plan && plan.error().code == Errc::kOutOfRoom && budget < options_.budget) {
    return short_at_present(options_.budget_name);
  }
  // A screen that a larger budget did without was not counted on.
  if (plan && plan->left_behind > room.left_at_most) {
    request.largest_share = 0;
    plan = plan_residency(artifact.manifest, request);
  }
  if (!plan) return tl::unexpected<Error>(std::move(plan.error()));
  {
    const std::scoped_lock lock(mutex_);
    room.left_behind = plan->left_behind;
  }
  TRY(room.pager, Pager::open(env_.disk, env_.clock, env_.compute.parallel(), std::move(artifact),
                              std::move(*plan), key_));
  env_.pressure.give_back();  // what opening took
  room.budget = budget;
  room.planned = request.sessions;
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
