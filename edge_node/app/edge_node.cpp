#include "edge_node/app/edge_node.h"

#include <boost/json.hpp>

#include "common/crypto/ed25519.h"
#include "edge_node/app/internal/answer_api.h"
#include "edge_node/app/internal/boot.h"
#include "edge_node/app/internal/budget_watch.h"
#include "edge_node/app/internal/duty.h"
#include "edge_node/app/internal/http_api.h"
#include "edge_node/app/internal/memory_plan.h"
#include "edge_node/update/install.h"

namespace skein {

namespace {

constexpr std::size_t kMaxSmallFile = 64 * 1024;

class NoUplink final : public Uplink {  // a device that works alone
 public:
  bool connected() const override { return false; }
  Task<bool> wait_connected(Instant) override { co_return false; }
  Task<Result<Envelope>> call(Message, Buffer, Instant) override {
    co_return fail(Errc::kUnavailable, "no coordinator is configured");
  }
  Task<Result<Envelope>> call_streaming(Message, Peer::OnPart, Duration) override {
    co_return fail(Errc::kUnavailable, "no coordinator is configured");
  }
};

}  // namespace

// Declared in the order they depend on each other; destroyed the other way round.
class EdgeNode::Parts {
 public:
  Parts(Env e, EdgeConfig c);

  Task<Result<void>> start();
  Task<void> stop();
  std::string status_json();

  Env env;
  EdgeConfig config;
  ChunkStore store;
  Slots slots;
  ModelHost host;
  Learner learner;
  DeviceDuty duty;
  NoUplink alone;
  std::unique_ptr<CoordinatorLink> link;
  std::unique_ptr<Updater> updater;
  std::unique_ptr<SplitClient> split;
  std::unique_ptr<BudgetWatch> watch;  // under a budget
  EdgeMetrics metrics;
  KeptStates states;
  StateApi state_api;
  std::unique_ptr<AnswerApi> answers;
  std::unique_ptr<HttpApi> api;
  std::unique_ptr<HttpServer> server;
  TaskGroup tasks;

 private:
  HostOptions host_options();
  void foresee_updates();
  TryOut try_out();
  Task<Result<void>> make_link();
  void make_updater();
  Task<Result<void>> install();
  Result<void> listen();
  Task<void> slot_switched();
  void refresh(EdgeMetrics& into);
  Uplink& uplink() {
    if (link) return *link;
    return alone;
  }
};

EdgeNode::Parts::Parts(Env e, EdgeConfig c)
    : env(e),
      config(std::move(c)),
      store(env.disk, join_path(config.data_dir, "chunks")),
      slots(env.disk, join_path(config.data_dir, "slots")),
      host(env, store, host_options()),
      learner(env, {.directory = join_path(config.data_dir, "rounds"),
                    .text_path = config.text,
                    .consent = config.consent,
                    .max_update_norm = config.max_update_norm}),
      duty(env, config, host, learner),
      states(env.clock, kept_states_limit(config)),
      state_api(env, host, states),
      tasks(env.executor) {}

Task<Result<void>> EdgeNode::Parts::start() {
  CO_TRY_VOID(co_await env.disk.make_directories(config.data_dir));
  CO_TRY_VOID(co_await store.open());
  CO_TRY_VOID(co_await make_link());
  make_updater();
  CO_TRY_VOID(co_await updater->load());
  if (!config.artifact.empty()) {
    const Result<void> installed = co_await install();
    if (!installed && !updater->slot()) co_return installed;
    if (!installed) {  // the slot there is goes on
      env.log.error("artifact not installed", {{"reason", to_string(installed.error())}});
    }
  }
  CO_TRY(const Boot boot, co_await boot_slot(env, store, slots, host));
  // With a coordinator its repeated offers are the occasions to try again.
  if (boot.no_room && !link) co_return tl::unexpected<Error>(*boot.no_room);
  if (boot.slot) updater->set_slot(*boot.slot);
  if (boot.to_repair) duty.repair(*boot.to_repair);
  co_await host.sweep();
  split = std::make_unique<SplitClient>(env, uplink());
  answers = std::make_unique<AnswerApi>(env, config, host, *split, states, metrics);
  CO_TRY_VOID(listen());
  if (link) {
    foresee_updates();
    tasks.spawn(link->run());
  }
  tasks.spawn(updater->run());
  tasks.spawn(server->run());
  if (host.memory() != nullptr) {
    watch = std::make_unique<BudgetWatch>(env, host);
    tasks.spawn(watch->run());
  }
  env.log.info(
      "edge node up",
      {{"name", config.name}, {"http", to_string(server->local())}, {"data", config.data_dir}});
  co_return Result<void>{};
}

// Said when it can still be changed, not when the first update is refused.
void EdgeNode::Parts::foresee_updates() {
  const auto model = host.current();
  if (model == nullptr || model->budgeted == nullptr) return;
  const auto fits = host.memory()->can_exchange(*model->budgeted);
  if (!fits) env.log.warn("updates will not fit", {{"reason", to_string(fits.error())}});
}

HostOptions EdgeNode::Parts::host_options() {
  HostOptions options;
  if (config.memory_budget != 0) env.pressure.give_back();
  options.memory = weight_memory_of(config, env.pressure.sample());
  options.folder = join_path(config.data_dir, "paged");
  options.fetch_page = [this](PageEntry entry) { return fetch_page(uplink(), std::move(entry)); };
  return options;
}

TryOut EdgeNode::Parts::try_out() {
  if (host.memory() == nullptr) return {};
  return [this](Digest artifact, Trial trial, Duration cost) {
    return host.try_out(artifact, std::move(trial), cost);
  };
}

Task<Result<void>> EdgeNode::Parts::make_link() {
  if (config.address.empty()) co_return Result<void>{};
  LinkOptions options;
  CO_TRY(options.coordinator, parse_endpoint(config.address));
  options.token = config.token;
  options.device_name = config.name;
  options.directory = join_path(config.data_dir, "identity");
  options.server_name = config.server_name;
  options.redial_max = std::chrono::milliseconds(config.redial_max_ms);
  if (!config.token_file.empty()) {
    const auto token = co_await read_file(env.disk, config.token_file, kMaxSmallFile);
    if (token) {
      options.token = std::string(as_text(*token));
    } else if (token.error().code != Errc::kNotFound) {
      co_return tl::unexpected<Error>(token.error());
    }  // a token that was used may be gone
  }
  link = std::make_unique<CoordinatorLink>(env, std::move(options), duty);
  co_return co_await link->load();
}

void EdgeNode::Parts::make_updater() {
  UpdaterHooks hooks;
  hooks.artifact_key = [this]() -> std::optional<PublicKey> {
    if (!link || !link->identity()) return std::nullopt;
    return link->identity()->artifact_key;
  };
  hooks.switched = [this] { return slot_switched(); };
  hooks.in_use = [this] { return host.in_use(); };
  hooks.heartbeat_soon = [this] {
    if (link) link->heartbeat_soon();
  };
  hooks.try_out = try_out();
  UpdaterOptions options{join_path(config.data_dir, "updates.json"), config.data_dir};
  updater =
      std::make_unique<Updater>(env, store, slots, uplink(), std::move(hooks), std::move(options));
  duty.connect(uplink(), *updater);
}

Task<Result<void>> EdgeNode::Parts::install() {
  InstallOptions options{config.artifact, std::nullopt, join_path(config.data_dir, "installed"),
                         try_out()};
  if (!config.artifact_key.empty()) {
    CO_TRY(const Buffer pem, co_await read_file(env.disk, config.artifact_key, kMaxSmallFile));
    CO_TRY(options.key, public_key_from_pem(as_text(pem)));
  }
  CO_TRY_VOID(co_await install_artifact(env, store, slots, std::move(options)));
  co_return Result<void>{};
}

Task<void> EdgeNode::Parts::slot_switched() {
  const Result<void> loaded = co_await host.load(updater->slot()->active);
  if (!loaded) env.log.error("model not loaded", {{"reason", to_string(loaded.error())}});
  if (loaded && link) foresee_updates();
  co_await host.sweep();
}

Result<void> EdgeNode::Parts::listen() {
  HttpFacts facts{[this] { return status_json(); }, [this](EdgeMetrics& m) { refresh(m); }};
  api = std::make_unique<HttpApi>(env, host, *answers, state_api, metrics, std::move(facts));
  TRY(const Endpoint at, parse_endpoint(config.listen));
  TRY(auto listener, env.network.listen(at, nullptr));
  HttpHandler handler = [this](HttpRequest request, HttpResponder& responder) {
    return api->handle(std::move(request), responder);
  };
  HttpServerOptions options;
  options.body_limit_of = [body_limit = options.body_limit](std::string_view path) {
    return StateApi::owns(path) ? kMaxHttpBodyBytes : body_limit;
  };
  server = std::make_unique<HttpServer>(env, std::move(listener), std::move(handler),
                                        std::move(options));
  return {};
}

Task<void> EdgeNode::Parts::stop() {
  if (server) co_await server->stop();
  if (link) co_await link->stop();
  co_await host.stop();
  co_await duty.stop();
  if (split) co_await split->stop();
  co_await tasks.stop();
}

void EdgeNode::Parts::refresh(EdgeMetrics& into) {
  into.set_link(link && link->connected());
  into.set_slot(updater->slot() ? updater->slot()->generation : 0);
  into.take(updater->counters());
  into.take(split->counters());
  into.take(host.passes());
  if (WeightMemory* memory = host.memory()) {
    into.take(memory->counters(), host.pages_mended());
    into.set_memory(memory->budget(), env.pressure.sample().process);
    if (watch) into.set_resized(watch->shrunk(), watch->grown());
  }
  into.set_kept(states.count(), states.bytes());
  into.take(learner.status());
}

std::string EdgeNode::Parts::status_json() {
  boost::json::object status{{"name", config.name}, {"version", SKEIN_VERSION}};
  status["connected"] = link && link->connected();
  if (link && link->identity()) status["device"] = link->identity()->device.value();
  if (const auto model = host.current()) {
    status["model"] = {
        {"artifact", model->digest.hex()}, {"name", model->name}, {"version", model->version}};
  }
  if (const auto& slot = updater->slot()) {
    status["slot"] = {{"generation", slot->generation}, {"active", slot->active.hex()}};
    if (slot->previous) status["slot"].get_object()["previous"] = slot->previous->hex();
  }
  status["updates"] = {{"pages_fetched", updater->counters().pages_fetched},
                       {"bytes_fetched", updater->counters().bytes_fetched},
                       {"switches", updater->counters().switches},
                       {"failures", updater->counters().failures}};
  status["split"] = {{"sessions", split->counters().sessions},
                     {"steps", split->counters().steps},
                     {"fallbacks", split->counters().fallbacks}};
  if (const WeightMemory* memory = host.memory()) {
    status["memory"] = {{"budget", memory->budget()}, {"openings", memory->openings()}};
  }
  status["answers_running"] = answers->running();
  status["rounds_counted"] = learner.status().rounds_counted;
  return boost::json::serialize(status);
}

EdgeNode::EdgeNode(Env env, EdgeConfig config)
    : parts_(std::make_unique<Parts>(env, std::move(config))) {}
EdgeNode::~EdgeNode() = default;

Task<Result<void>> EdgeNode::start() {
  Result<void> started = co_await parts_->start();
  if (!started) co_await parts_->stop();
  co_return started;
}

Task<void> EdgeNode::drain() {
  parts_->env.log.info("draining", {{"answers", parts_->answers ? parts_->answers->running() : 0}});
  if (parts_->answers) parts_->answers->refuse_new();
  if (parts_->server) {
    co_await parts_->server->drain(parts_->env.clock.now() + kDrainLimit);
  }
  co_await parts_->stop();
}

Task<void> EdgeNode::stop() { co_await parts_->stop(); }

Endpoint EdgeNode::http() const { return parts_->server->local(); }

std::optional<Digest> EdgeNode::active() const {
  const auto model = parts_->host.current();
  return model ? std::optional(model->digest) : std::nullopt;
}

}  // namespace skein
