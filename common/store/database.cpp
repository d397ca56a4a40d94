#include "common/store/database.h"

#include "common/base/check.h"
#include "common/store/internal/state.h"

namespace skein {

using internal::DatabaseState;

namespace {

// FULL: a commit is on the disk when it returns, at the price of one sync each.
constexpr const char* kFileSettings =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
    "PRAGMA trusted_schema = OFF;";
constexpr const char* kMemorySettings = "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;";

}  // namespace

Transaction::~Transaction() {
  if (database_ == nullptr) return;
  database_->in_transaction = false;
  // Some failures have rolled it back already.
  if (sqlite3_get_autocommit(database_->raw) == 0) CHECK(database_->execute("ROLLBACK"));
}

Result<void> Transaction::commit() {
  CHECK(database_ != nullptr);
  TRY_VOID(database_->execute("COMMIT"));
  database_->in_transaction = false;
  database_ = nullptr;
  return {};
}

Database::Database(std::unique_ptr<DatabaseState> state) : state_(std::move(state)) {}
Database::~Database() = default;

Result<std::unique_ptr<Database>> Database::open_file(const std::string& path) {
  return open(path, kFileSettings);
}

Result<std::unique_ptr<Database>> Database::open_in_memory() {
  return open(":memory:", kMemorySettings);
}

Result<std::unique_ptr<Database>> Database::open(const std::string& path, const char* settings) {
  auto state = std::make_unique<DatabaseState>();
  state->name = path;
  constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  const int code = sqlite3_open_v2(path.c_str(), &state->raw, kFlags, nullptr);
  if (code != SQLITE_OK) return state->failure(code, {});
  sqlite3_busy_timeout(state->raw, internal::kBusyTimeoutMs);
  TRY_VOID(state->execute(settings));
  return std::unique_ptr<Database>(new Database(std::move(state)));
}

Result<void> Database::execute(const std::string& sql) { return state_->execute(sql); }

Result<Statement> Database::prepare(std::string_view sql) {
  if (const auto found = state_->idle.find(sql); found != state_->idle.end()) {
    auto node = state_->idle.extract(found);
    return Statement(*state_, node.mapped(), std::move(node.key()));
  }
  sqlite3_stmt* raw = nullptr;
  const int code = sqlite3_prepare_v3(state_->raw, sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
  if (code != SQLITE_OK) return state_->failure(code, sql);
  if (raw == nullptr) return fail(Errc::kUsage, "there is no SQL to run", state_->name);
  return Statement(*state_, raw, std::string(sql));
}

Result<Transaction> Database::begin() {
  if (state_->in_transaction) {
    return fail(Errc::kConflict, "a transaction is open already", state_->name);
  }
  TRY_VOID(state_->execute("BEGIN IMMEDIATE"));
  state_->in_transaction = true;
  return Transaction(*state_);
}

Result<void> Database::migrate(std::span<const std::string_view> steps) {
  TRY(const auto row, select_one<std::uint32_t>("PRAGMA user_version"));
  const std::uint32_t version = row ? std::get<0>(*row) : 0;
  if (version > steps.size()) {
    return fail(Errc::kUnsupported,
                "the database has schema version " + std::to_string(version) +
                    ", this Skein knows " + std::to_string(steps.size()),
                state_->name, "use a newer Skein");
  }
  for (std::size_t i = version; i < steps.size(); ++i) {
    TRY(Transaction step, begin());
    TRY_VOID(execute(std::string(steps[i])));
    TRY_VOID(execute("PRAGMA user_version = " + std::to_string(i + 1)));
    TRY_VOID(step.commit());
  }
  return {};
}

tl::unexpected<Error> Database::too_many_rows(std::string_view sql) const {
  return fail(Errc::kOutOfRoom, "more than 1048576 rows answer \"" + std::string(sql) + "\"",
              state_->name, "select fewer");
}

std::int64_t Database::last_insert_id() const { return sqlite3_last_insert_rowid(state_->raw); }

std::uint64_t Database::changes() const {
  return static_cast<std::uint64_t>(sqlite3_changes64(state_->raw));
}

}  // namespace skein
