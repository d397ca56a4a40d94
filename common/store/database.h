// Database: SQLite, one connection, no exceptions. Durable when a file: WAL, synchronous=FULL, so
// what commit() reported done survives any crash. Its owner's thread only; a Transaction is never
// held across a co_await.
//
//   TRY(auto db, Database::open_file("coordinator.db"));
//   TRY_VOID(db->migrate(kSchemaSteps));
//   TRY(Transaction work, db->begin());
//   TRY_VOID(db->run("INSERT INTO devices (id, name) VALUES (?, ?)", id, name));
//   TRY_VOID(work.commit());
//   TRY(const auto rows, db->select<DeviceId, std::string>("SELECT id, name FROM devices"));
//   for (const auto& [device, device_name] : rows) ...
#pragma once

#include <memory>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "common/store/statement.h"

namespace skein {

inline constexpr std::size_t kMaxSelectedRows = 1U << 20;  // more is Errc::kOutOfRoom

// Rolls back when it ends without commit(). The Database outlives it.
class Transaction {
 public:
  Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  Result<void> commit();  // once

 private:
  friend class Database;
  explicit Transaction(internal::DatabaseState& database) : database_(&database) {}
  internal::DatabaseState* database_;  // null once committed or moved from
};

class Database {
 public:
  // Made when absent; the folder must exist. Errc::kInput, kCorrupt (not a database), kUnavailable
  // (another process holds it).
  static Result<std::unique_ptr<Database>> open_file(const std::string& path);
  static Result<std::unique_ptr<Database>> open_in_memory();
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // steps[i] is SQL that brings schema version i to i + 1; each in a transaction of its own. Steps
  // are only ever appended. Errc::kUnsupported when the file is from a newer Skein.
  Result<void> migrate(std::span<const std::string_view> steps);
  Result<void> execute(const std::string& sql);  // any number of statements, no values
  // BEGIN IMMEDIATE. Errc::kConflict when one is open already.
  Result<Transaction> begin();
  Result<Statement> prepare(std::string_view sql);

  // A statement that returns no rows. Errc::kConflict when a constraint forbids it.
  template <class... Values>
  Result<void> run(std::string_view sql, const Values&... values) {
    TRY(Statement statement, prepare(sql));
    statement.bind(values...);
    TRY_VOID(statement.step());
    return {};
  }
  // All rows as tuples, one type a column.
  template <class... Columns, class... Values>
  Result<std::vector<std::tuple<Columns...>>> select(std::string_view sql,
                                                     const Values&... values) {
    TRY(Statement statement, prepare(sql));
    statement.bind(values...);
    std::vector<std::tuple<Columns...>> rows;
    while (true) {
      TRY(const bool more, statement.step());
      if (!more) return rows;
      if (rows.size() == kMaxSelectedRows) return too_many_rows(sql);
      TRY(auto row, read_row<Columns...>(statement, std::index_sequence_for<Columns...>()));
      rows.push_back(std::move(row));
    }
  }
  // The first row, if there is any.
  template <class... Columns, class... Values>
  Result<std::optional<std::tuple<Columns...>>> select_one(std::string_view sql,
                                                           const Values&... values) {
    TRY(Statement statement, prepare(sql));
    statement.bind(values...);
    TRY(const bool found, statement.step());
    if (!found) return std::nullopt;
    TRY(auto row, read_row<Columns...>(statement, std::index_sequence_for<Columns...>()));
    return std::optional(std::move(row));
  }

  std::int64_t last_insert_id() const;
  std::uint64_t changes() const;  // rows touched by the last INSERT, UPDATE or DELETE

 private:
  explicit Database(std::unique_ptr<internal::DatabaseState> state);
  static Result<std::unique_ptr<Database>> open(const std::string& path, const char* settings);
  tl::unexpected<Error> too_many_rows(std::string_view sql) const;

  template <class... Columns, std::size_t... Index>
  static Result<std::tuple<Columns...>> read_row(const Statement& statement,
                                                 std::index_sequence<Index...>) {
    std::tuple<Result<Columns>...> read(statement.column<Columns>(static_cast<int>(Index))...);
    std::optional<Error> first;
    ((!first && !std::get<Index>(read) ? first.emplace(std::get<Index>(read).error()), 0 : 0), ...);
    if (first) return tl::unexpected<Error>(std::move(*first));
    return std::tuple<Columns...>(std::move(*std::get<Index>(read))...);
  }

  std::unique_ptr<internal::DatabaseState> state_;
};

}  // namespace skein
