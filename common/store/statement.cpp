#include "common/store/statement.h"

#include <utility>

#include "common/base/check.h"
#include "common/store/internal/state.h"

namespace skein {

Statement::Statement(internal::DatabaseState& database, sqlite3_stmt* raw, std::string sql)
    : database_(&database), raw_(raw), sql_(std::move(sql)) {
  ++database_->borrowed;
}

Statement::Statement(Statement&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)),
      raw_(std::exchange(other.raw_, nullptr)),
      sql_(std::move(other.sql_)) {}

Statement::~Statement() {
  if (database_ == nullptr) return;
  --database_->borrowed;
  sqlite3_reset(raw_);
  sqlite3_clear_bindings(raw_);
  const bool kept = database_->idle.size() < internal::kMaxIdleStatements &&
                    database_->idle.try_emplace(std::move(sql_), raw_).second;
  if (!kept) sqlite3_finalize(raw_);
}

Result<bool> Statement::step() {
  const int code = sqlite3_step(raw_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  auto failed = database_->failure(code, sql_);
  sqlite3_reset(raw_);
  return failed;
}

void Statement::expect_parameters(std::size_t count) const {
  CHECK(std::cmp_equal(sqlite3_bind_parameter_count(raw_), count));
}

void Statement::bind_null(int index) { CHECK(sqlite3_bind_null(raw_, index) == SQLITE_OK); }
void Statement::bind_integer(int index, std::int64_t value) {
  CHECK(sqlite3_bind_int64(raw_, index, value) == SQLITE_OK);
}
void Statement::bind_real(int index, double value) {
  CHECK(sqlite3_bind_double(raw_, index, value) == SQLITE_OK);
}

// A null pointer would bind NULL: empty text and bytes are values of their own. What is longer than
// SQLite's limit (1 GB) is nothing we ever store.
void Statement::bind_text(int index, std::string_view text) {
  const char* start = text.empty() ? "" : text.data();
  CHECK(sqlite3_bind_text64(raw_, index, start, text.size(), SQLITE_TRANSIENT, SQLITE_UTF8) ==
        SQLITE_OK);
}
void Statement::bind_blob(int index, ByteView bytes) {
  const void* start = bytes.empty() ? static_cast<const void*>("") : bytes.data();
  CHECK(sqlite3_bind_blob64(raw_, index, start, bytes.size(), SQLITE_TRANSIENT) == SQLITE_OK);
}

bool Statement::is_null(int index) const { return sqlite3_column_type(raw_, index) == SQLITE_NULL; }

tl::unexpected<Error> Statement::unlike(int index, const char* wanted) const {
  return fail(
      Errc::kCorrupt,
      "column " + std::to_string(index) + " of \"" + sql_.substr(0, 120) + "\" is not " + wanted,
      database_->name, "restore the database from a backup");
}

Result<std::int64_t> Statement::integer(int index) const {
  if (sqlite3_column_type(raw_, index) != SQLITE_INTEGER) return unlike(index, "an integer");
  return sqlite3_column_int64(raw_, index);
}

Result<double> Statement::real(int index) const {
  const int type = sqlite3_column_type(raw_, index);
  if (type != SQLITE_FLOAT && type != SQLITE_INTEGER) return unlike(index, "a number");
  return sqlite3_column_double(raw_, index);
}

Result<std::string> Statement::text(int index) const {
  if (sqlite3_column_type(raw_, index) != SQLITE_TEXT) return unlike(index, "text");
  const auto* start = reinterpret_cast<const char*>(sqlite3_column_text(raw_, index));
  return std::string(start, static_cast<std::size_t>(sqlite3_column_bytes(raw_, index)));
}

Result<Buffer> Statement::blob(int index) const {
  if (sqlite3_column_type(raw_, index) != SQLITE_BLOB) return unlike(index, "bytes");
  const auto* start = static_cast<const std::byte*>(sqlite3_column_blob(raw_, index));
  return to_buffer(ByteView(start, static_cast<std::size_t>(sqlite3_column_bytes(raw_, index))));
}

}  // namespace skein
