// What a Database, its Statements and its Transaction share. The Database owns it.
#pragma once

#include <sqlite3.h>

#include <map>
#include <string>

#include "common/base/result.h"

namespace skein::internal {

inline constexpr std::size_t kMaxIdleStatements = 128;
inline constexpr int kBusyTimeoutMs = 5000;

struct DatabaseState {
  sqlite3* raw = nullptr;
  std::string name;  // for messages
  std::map<std::string, sqlite3_stmt*, std::less<>> idle;
  std::size_t borrowed = 0;
  bool in_transaction = false;

  DatabaseState() = default;
  DatabaseState(const DatabaseState&) = delete;
  DatabaseState& operator=(const DatabaseState&) = delete;
  ~DatabaseState();

  // What SQLite's last refusal means. `sql` may be empty.
  tl::unexpected<Error> failure(int code, std::string_view sql) const;
  Result<void> execute(const std::string& sql);
};

}  // namespace skein::internal
