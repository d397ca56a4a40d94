#include "coordinator/app/coordinator.h"

#include "common/artifact/chunk_store.h"
#include "common/env/disk.h"
#include "common/http/http.h"
#include "common/store/database.h"
#include "common/wire/serve.h"
#include "coordinator/app/internal/admin_api.h"
#include "coordinator/app/internal/device_handler.h"
#include "coordinator/federation/round_store.h"

namespace skein {

namespace {

constexpr std::string_view kTokenFile = "admin.token";
constexpr std::uint64_t kMaxTokenFile = 4096;
constexpr std::size_t kAdminTokenBytes = 32;
constexpr std::chrono::seconds kTick{1};
constexpr std::chrono::seconds kDrainLimit{10};
constexpr std::chrono::milliseconds kDrainStep{20};

std::string without_spaces(std::string text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

}  // namespace

// In the order they are made; each uses only those above it.
struct Coordinator::Parts {
  Parts(Env with, CoordinatorConfig settings, Database& rows)
      : env(with), config(std::move(settings)), database(rows), tasks(env.executor) {}

  std::string path(std::string_view name) const { return join_path(config.data_dir, name); }
  Task<Result<void>> open_memory();
  void make_rooms();
  RoundHands round_hands();
  Task<Result<void>> restore();
  Result<void> listen(const std::string& admin_token);
  Task<Result<std::string>> admin_token();
  Task<void> tick_forever();
  Task<void> serve_devices();
  Task<void> serve_admin();

  Env env;
  CoordinatorConfig config;
  Database& database;
  std::unique_ptr<Store> store;
  std::unique_ptr<RoundStore> round_store;
  std::unique_ptr<Authority> authority;
  std::unique_ptr<ChunkStore> chunks;
  std::unique_ptr<DeviceRegistry> devices;
  std::unique_ptr<ArtifactRegistry> artifacts;
  std::unique_ptr<Inbox> inbox;
  std::unique_ptr<RolloutController> rollouts;
  std::unique_ptr<SplitServer> split;
  std::unique_ptr<RoundController> rounds;
  TrafficCounters traffic;
  std::unique_ptr<Rooms> rooms;
  std::unique_ptr<DeviceHandler> handler;
  std::unique_ptr<AdminApi> api;
  std::unique_ptr<Listener> device_listener;
  std::unique_ptr<HttpServer> http;
  TaskGroup tasks;  // ends first
};

Coordinator::Coordinator(Env env, CoordinatorConfig config, Database& database)
    : parts_(std::make_unique<Parts>(env, std::move(config), database)) {}
Coordinator::~Coordinator() = default;

std::string Coordinator::admin_token_path() const { return parts_->path(kTokenFile); }
Endpoint Coordinator::device_endpoint() const { return parts_->device_listener->local(); }
Endpoint Coordinator::admin_endpoint() const { return parts_->http->local(); }

Task<Result<void>> Coordinator::start() {
  Parts& parts = *parts_;
  CO_TRY_VOID(check_config(parts.config));
  CO_TRY_VOID(co_await parts.open_memory());
  parts.make_rooms();
  CO_TRY_VOID(co_await parts.restore());
  CO_TRY(const std::string token, co_await parts.admin_token());
  CO_TRY_VOID(parts.listen(token));
  parts.tasks.spawn(parts.serve_devices());
  parts.tasks.spawn(parts.serve_admin());
  parts.tasks.spawn(parts.tick_forever());
  parts.env.log.info("coordinator serves", {{"devices", to_string(device_endpoint())},
                                            {"admin", "http://" + to_string(admin_endpoint())},
                                            {"token_file", admin_token_path()}});
  co_return Result<void>{};
}

Task<void> Coordinator::drain() {
  Parts& parts = *parts_;
  if (!parts.http) co_return;
  parts.env.log.info("coordinator drains", {{"in_flight", parts.handler->in_flight()}});
  parts.handler->drain();
  parts.api->drain();
  const Instant deadline = parts.env.clock.now() + kDrainLimit;
  Task<void> answers = parts.http->drain(deadline);
  co_await std::move(answers);
  while (parts.handler->in_flight() > 0 && parts.env.clock.now() < deadline) {
    Task<void> moment = parts.env.clock.sleep_for(kDrainStep);
    co_await std::move(moment);
  }
  Task<void> stopping = stop();
  co_await std::move(stopping);
}

Task<void> Coordinator::stop() {
  Parts& parts = *parts_;
  if (parts.device_listener) parts.device_listener->close();
  if (parts.http) {
    Task<void> stopping = parts.http->stop();
    co_await std::move(stopping);
  }
  Task<void> ending = parts.tasks.stop();
  co_await std::move(ending);
}

Task<Result<void>> Coordinator::Parts::open_memory() {
  CO_TRY_VOID(co_await env.disk.make_directories(config.data_dir));
  CO_TRY(store, open_sqlite_store(database));
  CO_TRY(round_store, open_round_store(database));
  AuthorityOptions options{config.data_dir, config.hosts};
  CO_TRY(authority, co_await Authority::open(env, std::move(options)));
  chunks = std::make_unique<ChunkStore>(env.disk, path("chunks"));
  co_return co_await chunks->open();
}

void Coordinator::Parts::make_rooms() {
  devices = std::make_unique<DeviceRegistry>(env, *store, *authority);
  artifacts = std::make_unique<ArtifactRegistry>(env, *store, *chunks, *authority,
                                                 ArtifactRegistry::Options{path("inbox")});
  inbox = std::make_unique<Inbox>(env, path("inbox"));
  rollouts = std::make_unique<RolloutController>(env, *store);
  split = std::make_unique<SplitServer>(
      env, SplitServerOptions{std::chrono::seconds(config.split_idle_seconds)},
      [this](Digest artifact) { return artifacts->open(artifact); });
  rounds = std::make_unique<RoundController>(
      env, *round_store,
      RoundControllerOptions{path("rounds"), config.held_out, config.eval_context}, round_hands());
  rooms = std::make_unique<Rooms>(
      Rooms{env, config, *devices, *artifacts, *inbox, *rollouts, *rounds, *split, traffic});
  handler = std::make_unique<DeviceHandler>(*rooms);
}

RoundHands Coordinator::Parts::round_hands() {
  RoundHands hands;
  hands.open_artifact = [this](Digest artifact) { return artifacts->open(artifact); };
  hands.publish = [this](RoundId round,
                         std::shared_ptr<MemoryArtifact> artifact) -> Task<Result<void>> {
    Task<Result<ArtifactRow>> importing = artifacts->import_pages(std::move(artifact));
    CO_TRY(const ArtifactRow row, co_await std::move(importing));
    env.log.info("round published",
                 {{"round", round.value()}, {"artifact", row.digest.short_hex()}});
    co_return roll_out(*rooms, row.digest);
  };
  return hands;
}

Task<Result<void>> Coordinator::Parts::restore() {
  CO_TRY_VOID(devices->restore());
  CO_TRY_VOID(co_await artifacts->restore());
  CO_TRY_VOID(rollouts->restore());
  co_return co_await rounds->restore();
}

Task<Result<std::string>> Coordinator::Parts::admin_token() {
  const std::string file = path(kTokenFile);
  auto bytes = co_await read_file(env.disk, file, kMaxTokenFile);
  if (bytes) {
    std::string token = without_spaces(std::string(as_text(*bytes)));
    if (token.size() >= kAdminTokenBytes) co_return token;
    co_return fail(Errc::kCorrupt, "the admin token is too short to be one", file,
                   "remove the file; a new one is made at the next start");
  }
  if (bytes.error().code != Errc::kNotFound) co_return tl::unexpected(bytes.error());
  std::array<std::byte, kAdminTokenBytes> random{};
  env.random.fill(random);
  std::string token = to_hex(random);
  const std::string line = token + "\n";
  CO_TRY_VOID(co_await replace_file(env.disk, file, as_bytes(line)));
  co_return token;
}

Result<void> Coordinator::Parts::listen(const std::string& admin_token) {
  auto tls = std::make_shared<TlsOptions>();
  tls->identity = authority->server_identity();
  tls->authority_pem = authority->certificate_pem();
  tls->peer_certificate_optional = true;  // for enrolment; everything else is refused without one
  TRY(device_listener, env.network.listen(config.device_listen, std::move(tls)));
  TRY(auto admin, env.network.listen(config.admin_listen, nullptr));
  api = std::make_unique<AdminApi>(*rooms, admin_token);
  HttpServerOptions options;
  options.body_limit = std::size_t{config.upload_limit_mb} << 20;
  HttpHandler answer = [this](HttpRequest request, HttpResponder& responder) {
    return api->handle(std::move(request), responder);
  };
  http = std::make_unique<HttpServer>(env, std::move(admin), std::move(answer), options);
  return {};
}

Task<void> Coordinator::Parts::serve_devices() {
  HandlerFor handler_for = [this](const PeerIdentity& peer) -> RequestHandler* {
    if (peer.name.empty()) return handler.get();
    if (const auto known = devices->identify(peer); !known) {
      traffic.refusals += 1;
      env.log.warn("link refused", {{"reason", to_string(known.error())}});
      return nullptr;
    }
    return handler.get();
  };
  Task<void> serving = serve_links(env, *device_listener, std::move(handler_for), PeerOptions{});
  co_await std::move(serving);
}

Task<void> Coordinator::Parts::serve_admin() {
  Task<void> serving = http->run();
  co_await std::move(serving);
}

Task<void> Coordinator::Parts::tick_forever() {
  while (true) {
    Task<void> moment = env.clock.sleep_for(kTick);
    co_await std::move(moment);
    split->expire();
    Task<Result<void>> ticking = rounds->tick();
    const Result<void> ticked = co_await std::move(ticking);
    if (!ticked) env.log.error("round", {{"reason", to_string(ticked.error())}});
  }
}

}  // namespace skein
