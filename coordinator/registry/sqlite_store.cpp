#include <algorithm>

#include "common/store/database.h"
#include "coordinator/registry/internal/label_text.h"
#include "coordinator/registry/internal/schema.h"
#include "coordinator/registry/store.h"

namespace skein {

namespace {

using registry::labels_of;
using registry::reported_labels_of;
using registry::to_text;

template <class E>
Result<E> known(std::optional<E> value, const char* table) {
  if (value) return *value;
  return fail(Errc::kCorrupt, "a stored state is none that this version knows", table);
}

class SqliteStore final : public Store {
 public:
  explicit SqliteStore(Database& database) : db_(database) {}

  Result<std::optional<std::string>> setting(std::string_view key) override;
  Result<void> put_setting(std::string_view key, std::string_view value) override;
  Result<void> add_token(const TokenRow& token) override;
  Result<std::optional<TokenRow>> token(const Digest& secret_hash) override;
  Result<void> remove_unused_tokens(std::int64_t expired_before) override;
  Result<void> enrol(const Digest& secret_hash, const DeviceRow& device) override;
  Result<DeviceId> next_device_id() override;
  Result<std::vector<DeviceRow>> devices() override;
  Result<void> put_device(const DeviceRow& device) override;
  Result<void> put_artifact(const ArtifactRow& artifact) override;
  Result<std::vector<ArtifactRow>> artifacts() override;
  Result<RolloutId> next_rollout_id() override;
  Result<void> put_rollout(const RolloutRow& rollout,
                           std::span<const RolloutDeviceRow> devices) override;
  Result<std::vector<RolloutRow>> rollouts() override;
  Result<std::vector<RolloutDeviceRow>> rollout_devices(RolloutId rollout) override;

 private:
  static Result<DeviceRow> read_device(const Statement& row);
  static Result<void> read_slots(const Statement& row, DeviceRow& device);
  Result<std::uint64_t> next_id(std::string_view table);

  Database& db_;
};

Result<std::optional<std::string>> SqliteStore::setting(std::string_view key) {
  TRY(auto row, db_.select_one<std::string>("SELECT value FROM settings WHERE key = ?", key));
  if (!row) return std::nullopt;
  return std::optional(std::move(std::get<0>(*row)));
}

Result<void> SqliteStore::put_setting(std::string_view key, std::string_view value) {
  return db_.run("INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)", key, value);
}

Result<void> SqliteStore::add_token(const TokenRow& token) {
  return db_.run("INSERT INTO tokens (secret_hash, created, expires, used_by) VALUES (?, ?, ?, ?)",
                 token.secret_hash, token.created, token.expires, token.used_by);
}

Result<std::optional<TokenRow>> SqliteStore::token(const Digest& secret_hash) {
  TRY(const auto row,
      (db_.select_one<std::int64_t, std::int64_t, std::optional<DeviceId>>(
          "SELECT created, expires, used_by FROM tokens WHERE secret_hash = ?", secret_hash)));
  if (!row) return std::nullopt;
  const auto& [created, expires, used_by] = *row;
  return TokenRow{secret_hash, created, expires, used_by};
}

Result<void> SqliteStore::remove_unused_tokens(std::int64_t expired_before) {
  return db_.run("DELETE FROM tokens WHERE used_by IS NULL AND expires < ?", expired_before);
}

Result<void> SqliteStore::enrol(const Digest& secret_hash, const DeviceRow& device) {
  TRY(Transaction work, db_.begin());
  TRY_VOID(db_.run("UPDATE tokens SET used_by = ? WHERE secret_hash = ? AND used_by IS NULL",
                   device.id, secret_hash));
  if (db_.changes() != 1) return fail(Errc::kConflict, "the enrolment token is gone or used");
  TRY_VOID(put_device(device));
  return work.commit();
}

// Rows are never deleted, so the largest id says which were given.
Result<std::uint64_t> SqliteStore::next_id(std::string_view table) {
  const std::string sql = "SELECT COALESCE(MAX(id), 0) + 1 FROM " + std::string(table);
  TRY(const auto row, db_.select_one<std::uint64_t>(sql));
  if (!row) return fail(Errc::kCorrupt, "the database counted nothing", std::string(table));
  return std::get<0>(*row);
}

Result<DeviceId> SqliteStore::next_device_id() {
  TRY(const std::uint64_t id, next_id("devices"));
  return DeviceId{id};
}

Result<RolloutId> SqliteStore::next_rollout_id() {
  TRY(const std::uint64_t id, next_id("rollouts"));
  return RolloutId{id};
}

// An upsert, not REPLACE: rows of rollouts refer to this one.
Result<void> SqliteStore::put_device(const DeviceRow& device) {
  const Inventory& inventory = device.inventory;
  return db_.run(
      "INSERT INTO devices (id, state, name, public_key, serial, certificate, enrolled, last_seen, "
      "software, isa, threads, memory_bytes, free_disk_bytes, reported_labels, labels, active, "
      "previous, slot_generation) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
      "ON CONFLICT (id) DO UPDATE SET state = excluded.state, name = excluded.name, "
      "public_key = excluded.public_key, serial = excluded.serial, "
      "certificate = excluded.certificate, last_seen = excluded.last_seen, "
      "software = excluded.software, isa = excluded.isa, threads = excluded.threads, "
      "memory_bytes = excluded.memory_bytes, free_disk_bytes = excluded.free_disk_bytes, "
      "reported_labels = excluded.reported_labels, labels = excluded.labels, "
      "active = excluded.active, previous = excluded.previous, "
      "slot_generation = excluded.slot_generation",
      device.id, device.state, device.name, device.public_key, device.serial,
      device.certificate_pem, device.enrolled, device.last_seen, inventory.software_version,
      inventory.isa, inventory.threads, inventory.memory_bytes, inventory.free_disk_bytes,
      to_text(inventory.labels), to_text(device.labels), device.active, device.previous,
      device.slot_generation);
}

Result<std::vector<DeviceRow>> SqliteStore::devices() {
  TRY(Statement rows,
      db_.prepare("SELECT id, state, name, public_key, serial, certificate, enrolled, last_seen, "
                  "software, isa, threads, memory_bytes, free_disk_bytes, reported_labels, labels, "
                  "active, previous, slot_generation FROM devices ORDER BY id"));
  rows.bind();
  std::vector<DeviceRow> devices;
  while (true) {
    TRY(const bool more, rows.step());
    if (!more) return devices;
    TRY(auto device, read_device(rows));
    devices.push_back(std::move(device));
  }
}

Result<DeviceRow> SqliteStore::read_device(const Statement& row) {
  DeviceRow device;
  TRY(device.id, row.column<DeviceId>(0));
  TRY(const auto state, row.column<std::int64_t>(1));
  TRY(device.state, known(device_state_of(state), "devices"));
  TRY(device.name, row.column<std::string>(2));
  TRY(const Buffer key, row.column<Buffer>(3));
  if (key.size() != device.public_key.size())
    return fail(Errc::kCorrupt, "a stored public key has the wrong length", "devices");
  std::ranges::copy(key, device.public_key.begin());
  TRY(device.serial, row.column<std::uint64_t>(4));
  TRY(device.certificate_pem, row.column<std::string>(5));
  TRY(device.enrolled, row.column<std::int64_t>(6));
  TRY(device.last_seen, row.column<std::int64_t>(7));
  TRY(device.inventory.software_version, row.column<std::string>(8));
  TRY(device.inventory.isa, row.column<std::string>(9));
  TRY(device.inventory.threads, row.column<std::uint32_t>(10));
  TRY(device.inventory.memory_bytes, row.column<std::uint64_t>(11));
  TRY(device.inventory.free_disk_bytes, row.column<std::uint64_t>(12));
  TRY_VOID(read_slots(row, device));
  return device;
}

Result<void> SqliteStore::read_slots(const Statement& row, DeviceRow& device) {
  TRY(const auto reported, row.column<std::string>(13));
  TRY(device.inventory.labels, reported_labels_of(reported));
  TRY(const auto labels, row.column<std::string>(14));
  TRY(device.labels, labels_of(labels));
  TRY(device.active, row.column<std::optional<Digest>>(15));
  TRY(device.previous, row.column<std::optional<Digest>>(16));
  TRY(device.slot_generation, row.column<std::uint64_t>(17));
  return {};
}

Result<void> SqliteStore::put_artifact(const ArtifactRow& artifact) {
  return db_.run(
      "INSERT OR REPLACE INTO artifacts (digest, name, version, architecture, bytes, pages, "
      "parent, imported) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      artifact.digest, artifact.name, artifact.version, artifact.architecture, artifact.bytes,
      artifact.pages, artifact.parent, artifact.imported);
}

Result<std::vector<ArtifactRow>> SqliteStore::artifacts() {
  TRY(auto rows, (db_.select<Digest, std::string, std::string, std::string, std::uint64_t,
                             std::uint32_t, std::optional<Digest>, std::int64_t>(
                     "SELECT digest, name, version, architecture, bytes, pages, parent, imported "
                     "FROM artifacts ORDER BY imported, digest")));
  std::vector<ArtifactRow> artifacts;
  for (auto& row : rows) artifacts.push_back(std::make_from_tuple<ArtifactRow>(std::move(row)));
  return artifacts;
}

Result<void> SqliteStore::put_rollout(const RolloutRow& rollout,
                                      std::span<const RolloutDeviceRow> devices) {
  TRY(Transaction work, db_.begin());
  TRY_VOID(
      db_.run("INSERT INTO rollouts (id, artifact, state, created, started, changed) "
              "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET state = excluded.state, "
              "started = excluded.started, changed = excluded.changed",
              rollout.id, rollout.artifact, rollout.state, rollout.created, rollout.started,
              rollout.changed));
  for (const RolloutDeviceRow& device : devices) {
    TRY_VOID(db_.run(
        "INSERT OR REPLACE INTO rollout_devices (rollout, device, step, reason, baseline, "
        "bytes_fetched, pages_fetched, attempt, changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rollout.id, device.device, device.step, device.reason, device.baseline,
        device.bytes_fetched, device.pages_fetched, device.attempt, device.changed));
  }
  return work.commit();
}

Result<std::vector<RolloutRow>> SqliteStore::rollouts() {
  TRY(const auto rows,
      (db_.select<RolloutId, Digest, std::int64_t, std::int64_t, std::int64_t, std::int64_t>(
          "SELECT id, artifact, state, created, started, changed FROM rollouts ORDER BY id")));
  std::vector<RolloutRow> rollouts;
  for (const auto& [id, artifact, number, created, started, changed] : rows) {
    TRY(const RolloutState state, known(rollout_state_of(number), "rollouts"));
    rollouts.push_back({id, artifact, state, created, started, changed});
  }
  return rollouts;
}

Result<std::vector<RolloutDeviceRow>> SqliteStore::rollout_devices(RolloutId rollout) {
  TRY(const auto rows,
      (db_.select<DeviceId, std::int64_t, std::string, std::optional<Digest>, std::uint64_t,
                  std::uint32_t, std::uint32_t, std::int64_t>(
          "SELECT device, step, reason, baseline, bytes_fetched, pages_fetched, attempt, changed "
          "FROM rollout_devices WHERE rollout = ? ORDER BY device",
          rollout)));
  std::vector<RolloutDeviceRow> devices;
  for (const auto& [device, number, reason, baseline, bytes, pages, attempt, changed] : rows) {
    TRY(const DeviceStep step, known(device_step_of(number), "rollout_devices"));
    devices.push_back({device, step, reason, baseline, bytes, pages, attempt, changed});
  }
  return devices;
}

}  // namespace

Result<std::unique_ptr<Store>> open_sqlite_store(Database& database) {
  TRY_VOID(database.migrate(registry::kSchemaSteps));
  return std::make_unique<SqliteStore>(database);
}

}  // namespace skein
