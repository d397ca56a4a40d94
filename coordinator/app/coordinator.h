// Coordinator: the rooms wired together behind two ports: devices (mutual TLS 1.3) and people
// (HTTP). Owned by main or by the simulator; loop thread only. Everything that must survive is in
// `database` and below config.data_dir; a process killed at any moment starts again from there.
#pragma once

#include <memory>

#include "common/env/env.h"
#include "common/env/network.h"
#include "coordinator/app/config.h"

namespace skein {

class Database;

class Coordinator {
 public:
  // `database` outlives it and holds nothing but this coordinator's tables.
  Coordinator(Env env, CoordinatorConfig config, Database& database);
  ~Coordinator();
  Coordinator(const Coordinator&) = delete;
  Coordinator& operator=(const Coordinator&) = delete;

  // Opens everything, restores what was under way, listens. Once.
  Task<Result<void>> start();
  // No new connections or requests; what runs may end within ten seconds; then stop().
  Task<void> drain();
  Task<void> stop();  // now; safe to repeat

  Endpoint device_endpoint() const;  // the ports really bound; after start()
  Endpoint admin_endpoint() const;
  // Where the admin token lies: <data_dir>/admin.token.
  std::string admin_token_path() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace skein
