#include "coordinator/federation/round_store.h"

#include <algorithm>

#include "common/store/database.h"

namespace skein {
namespace {

// The federation's own tables; the rest of the database is others'. Columns are only ever added.
constexpr const char* kTables = R"sql(
CREATE TABLE IF NOT EXISTS federation_rounds (
  round INTEGER PRIMARY KEY,
  artifact BLOB NOT NULL,
  learning_rate REAL NOT NULL,
  epochs INTEGER NOT NULL,
  context INTEGER NOT NULL,
  clip REAL NOT NULL,
  max_tokens INTEGER NOT NULL,
  quorum INTEGER NOT NULL,
  invite INTEGER NOT NULL,
  seconds INTEGER NOT NULL,
  max_update_norm REAL NOT NULL,
  phase INTEGER NOT NULL,
  reason TEXT NOT NULL,
  opened INTEGER NOT NULL,
  deadline INTEGER NOT NULL,
  base_loss REAL,
  candidate_loss REAL,
  candidate BLOB
) STRICT;
CREATE TABLE IF NOT EXISTS federation_participants (
  round INTEGER NOT NULL REFERENCES federation_rounds (round),
  device INTEGER NOT NULL,
  counted INTEGER NOT NULL,
  content BLOB,
  bytes INTEGER,
  raw_bytes INTEGER,
  tokens INTEGER,
  loss_before REAL,
  loss_after REAL,
  PRIMARY KEY (round, device)
) STRICT;
)sql";

std::int64_t seconds_of(std::chrono::sys_seconds time) { return time.time_since_epoch().count(); }
std::chrono::sys_seconds time_of(std::int64_t seconds) {
  return std::chrono::sys_seconds(std::chrono::seconds(seconds));
}

class SqliteRoundStore final : public RoundStore {
 public:
  explicit SqliteRoundStore(Database& database) : database_(database) {}

  Result<RoundId> next_round() override {
    TRY(const auto row, database_.select_one<std::optional<std::uint64_t>>(
                            "SELECT MAX(round) FROM federation_rounds"));
    const auto last = row ? std::get<0>(*row) : std::nullopt;
    return RoundId(last.value_or(0) + 1);
  }

  Result<void> save(const RoundRecord& record) override {
    TRY(Transaction work, database_.begin());
    TRY_VOID(save_round(record));
    for (const Participant& participant : record.participants) {
      TRY_VOID(save_participant(record.round, participant));
    }
    return work.commit();
  }

  Result<std::vector<RoundRecord>> load(std::uint32_t limit) override {
    TRY(std::vector<RoundRecord> records, load_rounds(limit));
    for (RoundRecord& record : records) {
      TRY(record.participants, load_participants(record.round));
    }
    std::ranges::reverse(records);
    return records;
  }

 private:
  Result<void> save_round(const RoundRecord& record);
  Result<void> save_participant(RoundId round, const Participant& participant);
  Result<std::vector<RoundRecord>> load_rounds(std::uint32_t limit);
  Result<std::vector<Participant>> load_participants(RoundId round);

  Database& database_;
};

Result<void> SqliteRoundStore::save_round(const RoundRecord& record) {
  const RoundOffer& offer = record.plan.offer;
  return database_.run(
      "INSERT INTO federation_rounds VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) "
      "ON CONFLICT (round) DO UPDATE SET phase = excluded.phase, reason = excluded.reason, "
      "base_loss = excluded.base_loss, candidate_loss = excluded.candidate_loss, "
      "candidate = excluded.candidate",
      record.round, offer.artifact, offer.learning_rate, offer.epochs, offer.context, offer.clip,
      offer.max_tokens, record.plan.quorum, record.plan.invite, record.plan.seconds,
      record.plan.max_update_norm, record.phase, record.reason, seconds_of(record.opened),
      seconds_of(record.deadline), record.base_loss, record.candidate_loss, record.candidate);
}

Result<void> SqliteRoundStore::save_participant(RoundId round, const Participant& participant) {
  constexpr std::string_view kInsert =
      "INSERT OR REPLACE INTO federation_participants VALUES (?,?,?,?,?,?,?,?,?)";
  const auto& upload = participant.upload;
  if (!upload) {
    const std::nullopt_t null = std::nullopt;
    return database_.run(kInsert, round, participant.device, participant.counted, null, null, null,
                         null, null, null);
  }
  return database_.run(kInsert, round, participant.device, participant.counted, upload->content,
                       upload->bytes, upload->raw_bytes, upload->tokens, upload->loss_before,
                       upload->loss_after);
}

Result<std::vector<RoundRecord>> SqliteRoundStore::load_rounds(std::uint32_t limit) {
  using std::int64_t, std::uint32_t;
  const auto selected =
      database_.select<RoundId, Digest, float, uint32_t, uint32_t, float, uint32_t, uint32_t,
                       uint32_t, uint32_t, double, RoundPhase, std::string, int64_t, int64_t,
                       std::optional<double>, std::optional<double>, std::optional<Digest>>(
          "SELECT * FROM federation_rounds ORDER BY round DESC LIMIT ?", limit);
  if (!selected) return tl::unexpected(selected.error());
  std::vector<RoundRecord> records;
  for (const auto& [round, artifact, rate, epochs, context, clip, max_tokens, quorum, invite,
                    seconds, max_norm, phase, reason, opened, deadline, base_loss, candidate_loss,
                    candidate] : *selected) {
    if (phase < RoundPhase::kOpen || phase > RoundPhase::kFailed) {
      return fail(Errc::kCorrupt, "a stored round is in no known phase",
                  "round " + std::to_string(round.value()));
    }
    RoundRecord record;
    record.round = round;
    record.plan = {.offer = {.round = round,
                             .artifact = artifact,
                             .learning_rate = rate,
                             .epochs = epochs,
                             .context = context,
                             .clip = clip,
                             .max_tokens = max_tokens},
                   .quorum = quorum,
                   .invite = invite,
                   .seconds = seconds,
                   .max_update_norm = max_norm};
    record.phase = phase;
    record.reason = reason;
    record.opened = time_of(opened);
    record.deadline = time_of(deadline);
    record.base_loss = base_loss;
    record.candidate_loss = candidate_loss;
    record.candidate = candidate;
    records.push_back(std::move(record));
  }
  return records;
}

Result<std::vector<Participant>> SqliteRoundStore::load_participants(RoundId round) {
  using Number = std::optional<std::uint64_t>;
  using Loss = std::optional<double>;
  const auto selected =
      database_.select<DeviceId, bool, std::optional<Digest>, Number, Number, Number, Loss, Loss>(
          "SELECT device, counted, content, bytes, raw_bytes, tokens, loss_before, loss_after "
          "FROM federation_participants WHERE round = ?",
          round);
  if (!selected) return tl::unexpected(selected.error());
  std::vector<Participant> participants;
  for (const auto& [device, counted, content, bytes, raw_bytes, tokens, before, after] :
       *selected) {
    Participant participant{device, std::nullopt, counted};
    if (content) {
      participant.upload = UploadBegin{.round = round,
                                       .content = *content,
                                       .bytes = bytes.value_or(0),
                                       .raw_bytes = raw_bytes.value_or(0),
                                       .tokens = tokens.value_or(0),
                                       .loss_before = before.value_or(0),
                                       .loss_after = after.value_or(0)};
    } else if (counted) {
      return fail(Errc::kCorrupt, "a stored update is counted but was never begun",
                  "round " + std::to_string(round.value()));
    }
    participants.push_back(std::move(participant));
  }
  std::ranges::sort(participants, {}, &Participant::device);
  return participants;
}

}  // namespace

Result<std::unique_ptr<RoundStore>> open_round_store(Database& database) {
  TRY_VOID(database.execute(kTables));
  return std::make_unique<SqliteRoundStore>(database);
}

}  // namespace skein
