#include "common/store/database.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace skein {
namespace {

constexpr std::string_view kSteps[] = {
    "CREATE TABLE devices (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    "ALTER TABLE devices ADD COLUMN artifact BLOB; CREATE INDEX by_artifact ON devices (artifact)",
};

std::unique_ptr<Database> memory() {
  auto db = Database::open_in_memory().value();
  EXPECT_TRUE(db->migrate(kSteps));
  return db;
}

struct TemporaryFolder {
  std::string path;
  TemporaryFolder() {
    std::string name = testing::TempDir() + "skein_store_XXXXXX";
    path = mkdtemp(name.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
  std::string file() const { return path + "/test.db"; }
};

std::int64_t count(Database& db) {
  return std::get<0>(*db.select_one<std::int64_t>("SELECT count(*) FROM devices").value());
}

TEST(Database, GivesBackEveryTypeAsItWasBound) {
  const auto db = Database::open_in_memory().value();
  ASSERT_TRUE(db->execute("CREATE TABLE all_types (a, b, c, d, e, f, g, h, i)"));
  enum class Kind : std::uint8_t { kOne = 1, kTwo = 2 };
  Digest digest;
  digest.bytes[31] = std::byte{9};
  const Buffer bytes = to_buffer(std::string_view("a\0b", 3));
  ASSERT_TRUE(db->run("INSERT INTO all_types VALUES (?,?,?,?,?,?,?,?,?)", -7, ~0ULL, 0.5, "text",
                      bytes, digest, DeviceId(12), Kind::kTwo, true));
  const auto row =
      db->select_one<int, std::uint64_t, double, std::string, Buffer, Digest, DeviceId, Kind, bool>(
          "SELECT * FROM all_types");
  ASSERT_TRUE(row) << to_string(row.error());
  EXPECT_EQ(**row, std::tuple(-7, ~0ULL, 0.5, std::string("text"), bytes, digest, DeviceId(12),
                              Kind::kTwo, true));
}

TEST(Database, EmptyTextAndBytesAreNotNull) {
  const auto db = memory();
  using Row = std::tuple<std::string, Buffer, std::optional<int>, std::optional<int>>;
  const auto row = db->select_one<std::string, Buffer, std::optional<int>, std::optional<int>>(
      "SELECT ?, ?, ?, ?", std::string_view(), ByteView(), std::nullopt, std::optional<int>(3));
  ASSERT_TRUE(row) << to_string(row.error());
  EXPECT_EQ(**row, Row("", {}, std::nullopt, 3));
}

TEST(Database, SelectsAllRowsInOrder) {
  const auto db = memory();
  for (const char* name : {"b", "a", "c"}) {
    ASSERT_TRUE(db->run("INSERT INTO devices (name) VALUES (?)", name));
  }
  const auto rows = db->select<DeviceId, std::string>("SELECT id, name FROM devices ORDER BY name");
  ASSERT_TRUE(rows);
  using Row = std::tuple<DeviceId, std::string>;
  EXPECT_EQ(*rows, (std::vector<Row>{{DeviceId(2), "a"}, {DeviceId(1), "b"}, {DeviceId(3), "c"}}));
  EXPECT_EQ(db->last_insert_id(), 3);
  EXPECT_EQ(db->select_one<int>("SELECT 1 FROM devices WHERE name = 'z'").value(), std::nullopt);
  ASSERT_TRUE(db->run("UPDATE devices SET name = name || '!' WHERE id > ?", 1));
  EXPECT_EQ(db->changes(), 2U);
}

TEST(Database, AColumnOfAnotherTypeIsCorruptNotConverted) {
  const auto db = memory();
  const auto refused = db->select<std::int64_t>("SELECT 'seven'");
  ASSERT_FALSE(refused);
  EXPECT_EQ(to_string(refused.error()),
            "column 0 of \"SELECT 'seven'\" is not an integer (:memory:): restore the database "
            "from a backup");
  EXPECT_EQ(db->select<std::uint8_t>("SELECT 256").error().code, Errc::kCorrupt);
  EXPECT_EQ(db->select<std::uint32_t>("SELECT -1").error().code, Errc::kCorrupt);
  EXPECT_EQ(db->select<Digest>("SELECT x'00'").error().code, Errc::kCorrupt);
  EXPECT_EQ(db->select<std::string>("SELECT NULL").error().code, Errc::kCorrupt);
  EXPECT_EQ((db->select<int, Buffer>("SELECT 1, 2").error().code), Errc::kCorrupt);
}

TEST(Database, ABrokenConstraintIsAConflictAndChangesNothing) {
  const auto db = memory();
  ASSERT_TRUE(db->run("INSERT INTO devices (name) VALUES ('a')"));
  const auto refused = db->run("INSERT INTO devices (name) VALUES (?)", "a");
  ASSERT_FALSE(refused);
  EXPECT_EQ(to_string(refused.error()),
            "the database says: UNIQUE constraint failed: devices.name, to \"INSERT INTO devices "
            "(name) VALUES (?)\" (:memory:)");
  EXPECT_EQ(refused.error().code, Errc::kConflict);
  EXPECT_EQ(count(*db), 1);
}

TEST(Database, BadSqlIsAnErrorWithTheSql) {
  const auto db = memory();
  EXPECT_EQ(db->run("SELEKT 1").error().code, Errc::kUsage);
  EXPECT_EQ(db->run("").error().code, Errc::kUsage);
  EXPECT_EQ(db->execute("CREATE TABLE devices (id)").error().code, Errc::kUsage);
}

TEST(Database, TheSameStatementCanRunInsideItself) {
  const auto db = memory();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(db->run("INSERT INTO devices (name) VALUES (?)", i));
  Statement outer = db->prepare("SELECT id FROM devices").value();
  int pairs = 0;
  while (outer.bind().step().value()) {
    Statement inner = db->prepare("SELECT id FROM devices").value();
    while (inner.bind().step().value()) ++pairs;
    if (pairs > 9) break;
  }
  EXPECT_EQ(pairs, 9);
}

TEST(Database, KeepsNoMoreThanItsLimitOfIdleStatements) {
  const auto db = memory();
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(db->select<int>("SELECT " + std::to_string(i)));
  }
  EXPECT_EQ(std::get<0>(*db->select_one<int>("SELECT 999").value()), 999);
}

TEST(Transaction, RollsBackUnlessCommitted) {
  const auto db = memory();
  {
    const Transaction work = db->begin().value();
    ASSERT_TRUE(db->run("INSERT INTO devices (name) VALUES ('a')"));
    EXPECT_EQ(count(*db), 1);
  }
  EXPECT_EQ(count(*db), 0);
  {
    Transaction work = db->begin().value();
    ASSERT_TRUE(db->run("INSERT INTO devices (name) VALUES ('a')"));
    ASSERT_TRUE(work.commit());
  }
  EXPECT_EQ(count(*db), 1);
}

TEST(Transaction, IsNeverNested) {
  const auto db = memory();
  Transaction work = db->begin().value();
  EXPECT_EQ(db->begin().error().code, Errc::kConflict);
  ASSERT_TRUE(work.commit());
  EXPECT_TRUE(db->begin());
}

TEST(Migration, RunsEachStepOnce) {
  const TemporaryFolder folder;
  {
    const auto db = Database::open_file(folder.file()).value();
    ASSERT_TRUE(db->migrate(std::span(kSteps).first(1)));
    ASSERT_TRUE(db->run("INSERT INTO devices (name) VALUES ('kept')"));
  }
  for (int time = 0; time < 2; ++time) {
    const auto db = Database::open_file(folder.file()).value();
    ASSERT_TRUE(db->migrate(kSteps));
    const auto row =
        db->select_one<std::string, std::optional<Buffer>>("SELECT name, artifact FROM devices");
    ASSERT_TRUE(row);
    EXPECT_EQ(std::get<0>(**row), "kept");
  }
  const auto db = Database::open_file(folder.file()).value();
  EXPECT_EQ(to_string(db->migrate(std::span(kSteps).first(1)).error()),
            "the database has schema version 2, this Skein knows 1 (" + folder.file() +
                "): use a newer Skein");
}

TEST(Migration, AFailingStepLeavesTheVersionBeforeIt) {
  const auto db = Database::open_in_memory().value();
  constexpr std::string_view kBroken[] = {kSteps[0], "CREATE TABLE more (id); SELEKT"};
  EXPECT_FALSE(db->migrate(kBroken));
  EXPECT_TRUE(db->migrate(kSteps)) << "step 2 starts from step 1, without the half-made table";
}

TEST(DatabaseFile, IsDurableByItsSettings) {
  const TemporaryFolder folder;
  const auto db = Database::open_file(folder.file()).value();
  EXPECT_EQ(std::get<0>(*db->select_one<std::string>("PRAGMA journal_mode").value()), "wal");
  EXPECT_EQ(std::get<0>(*db->select_one<int>("PRAGMA synchronous").value()), 2);
  EXPECT_EQ(std::get<0>(*db->select_one<int>("PRAGMA foreign_keys").value()), 1);
}

TEST(DatabaseFile, ThatIsNoneIsRefused) {
  const TemporaryFolder folder;
  const std::string file = folder.file();
  FILE* out = std::fopen(file.c_str(), "w");
  for (int i = 0; i < 1000; ++i) std::fputs("this is not a database ", out);
  std::fclose(out);
  const auto refused = Database::open_file(file);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kCorrupt);
  EXPECT_EQ(Database::open_file(folder.path + "/absent/test.db").error().code, Errc::kInput);
}

}  // namespace
}  // namespace skein
