#include "common/store/internal/state.h"

#include "common/base/check.h"

namespace skein::internal {

namespace {

struct Meaning {
  Errc code;
  const char* remedy;
};

Meaning meaning_of(int code) {
  switch (code & 0xff) {  // the low byte is the kind, the rest detail
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {Errc::kUnavailable, "another process holds the database: stop it, or try again"};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return {Errc::kCorrupt, "restore the database from a backup"};
    case SQLITE_FULL:
      return {Errc::kOutOfRoom, "free disk space"};
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
      return {Errc::kOutOfRoom, "store less at once"};
    case SQLITE_CONSTRAINT:
      return {Errc::kConflict, ""};
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return {Errc::kInput, "check the folder, its permissions and the disk"};
    default:
      return {Errc::kUsage, ""};
  }
}

}  // namespace

DatabaseState::~DatabaseState() {
  CHECK(borrowed == 0 && !in_transaction);
  for (const auto& [sql, statement] : idle) sqlite3_finalize(statement);
  CHECK(sqlite3_close(raw) == SQLITE_OK);
}

tl::unexpected<Error> DatabaseState::failure(int code, std::string_view sql) const {
  const Meaning meaning = meaning_of(code);
  std::string what = std::string("the database says: ") + sqlite3_errmsg(raw);
  if (!sql.empty()) what += ", to \"" + std::string(sql.substr(0, 120)) + "\"";
  return fail(meaning.code, std::move(what), name, meaning.remedy);
}

Result<void> DatabaseState::execute(const std::string& sql) {
  const int code = sqlite3_exec(raw, sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return failure(code, sql);
  return {};
}

}  // namespace skein::internal
