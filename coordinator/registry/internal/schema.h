// The coordinator's tables, step by step. Steps are only ever appended: a step that was released
// once is never edited.
#pragma once

#include <array>
#include <string_view>

namespace skein::registry {

inline constexpr std::array<std::string_view, 1> kSchemaSteps = {R"sql(
CREATE TABLE settings (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT;
CREATE TABLE tokens (
  secret_hash BLOB PRIMARY KEY,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  used_by INTEGER
) STRICT;
CREATE TABLE devices (
  id INTEGER PRIMARY KEY,
  state INTEGER NOT NULL,
  name TEXT NOT NULL,
  public_key BLOB NOT NULL,
  serial INTEGER NOT NULL UNIQUE,
  certificate TEXT NOT NULL,
  enrolled INTEGER NOT NULL,
  last_seen INTEGER NOT NULL,
  software TEXT NOT NULL,
  isa TEXT NOT NULL,
  threads INTEGER NOT NULL,
  memory_bytes INTEGER NOT NULL,
  free_disk_bytes INTEGER NOT NULL,
  reported_labels TEXT NOT NULL,
  labels TEXT NOT NULL,
  active BLOB,
  previous BLOB,
  slot_generation INTEGER NOT NULL
) STRICT;
CREATE TABLE artifacts (
  digest BLOB PRIMARY KEY,
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  architecture TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  pages INTEGER NOT NULL,
  parent BLOB,
  imported INTEGER NOT NULL
) STRICT;
CREATE TABLE rollouts (
  id INTEGER PRIMARY KEY,
  artifact BLOB NOT NULL,
  state INTEGER NOT NULL,
  created INTEGER NOT NULL,
  started INTEGER NOT NULL,
  changed INTEGER NOT NULL
) STRICT;
CREATE TABLE rollout_devices (
  rollout INTEGER NOT NULL REFERENCES rollouts (id),
  device INTEGER NOT NULL REFERENCES devices (id),
  step INTEGER NOT NULL,
  reason TEXT NOT NULL,
  baseline BLOB,
  bytes_fetched INTEGER NOT NULL,
  pages_fetched INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  changed INTEGER NOT NULL,
  PRIMARY KEY (rollout, device)
) STRICT, WITHOUT ROWID;
)sql"};

}  // namespace skein::registry
