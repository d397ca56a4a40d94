#include "coordinator/split/split_server.h"

#include <algorithm>
#include <cmath>

#include "common/crypto/sha256.h"

namespace skein {

namespace {

// Sets a flag for as long as it lives, also when a coroutine is unwound; then wakes who waits.
class Holding {
 public:
  Holding(bool& flag, Signal& released) : flag_(flag), released_(released) { flag_ = true; }
  ~Holding() {
    flag_ = false;
    released_.notify_all();
  }
  Holding(const Holding&) = delete;
  Holding& operator=(const Holding&) = delete;

 private:
  bool& flag_;
  Signal& released_;
};

bool all_finite(ByteView floats) {
  for (std::size_t at = 0; at < floats.size(); at += sizeof(float)) {
    if (!std::isfinite(load_le<float>(floats, at))) return false;
  }
  return true;
}

// The tokens of one step through the session's layers, on the work's own state.
void run_layers(SplitWork& work, const SplitOpen& range, std::uint32_t count) {
  const std::size_t width = work.state.config().width;
  const std::size_t bytes = width * sizeof(float);
  work.activation.x.resize(count * width);
  work.activation.v_first.resize(count * width);
  for (std::uint32_t token = 0; token < count; ++token) {
    const std::byte* from = work.request.data() + token * 2 * bytes;
    std::memcpy(&work.activation.x[token * width], from, bytes);
    std::memcpy(&work.activation.v_first[token * width], from + bytes, bytes);
  }
  work.runner.layers(LayerIndex{range.first_layer}, LayerIndex{range.end_layer}, work.activation,
                     work.state);
  work.reply.resize(count * bytes);
  std::memcpy(work.reply.data(), work.activation.x.data(), work.reply.size());
}

}  // namespace

SplitServer::SplitServer(Env env, SplitServerOptions options, OpenArtifact open_artifact)
    : env_(env),
      open_artifact_(std::move(open_artifact)),
      table_(options.idle_limit),
      changed_(env.executor) {}

Task<Result<SplitOpened>> SplitServer::open(DeviceId device, SplitOpen request) {
  if (const auto known = table_.find(device, request.session)) co_return resume(*known, request);
  CO_TRY(const auto model, co_await model_of(request.artifact));
  const ModelConfig& config = model->model->config();
  if (request.first_layer >= request.end_layer || request.end_layer > config.layers) {
    co_return fail(Errc::kUsage, "layers " + std::to_string(request.first_layer) + " to " +
                                     std::to_string(request.end_layer) + " of a model with " +
                                     std::to_string(config.layers));
  }
  // While the model was loading, the same request may have been answered on another link.
  if (const auto known = table_.find(device, request.session)) co_return resume(*known, request);
  auto session = std::make_shared<ServedSession>();
  session->opened = request;
  session->device = device;
  session->model = model;
  session->state = model->model->initial_state();
  CO_TRY_VOID(table_.add(std::move(session), env_.clock.now()));
  co_return SplitOpened{Step{0}};
}

Result<SplitOpened> SplitServer::resume(ServedSession& session, const SplitOpen& request) {
  if (session.opened != request) {
    return fail(Errc::kConflict, "this session runs other layers or another artifact", {},
                "open a new one");
  }
  session.used = env_.clock.now();
  return SplitOpened{session.next};
}

Task<Result<Envelope>> SplitServer::step(DeviceId device, SplitStep request, Buffer payload) {
  auto session = table_.find(device, request.session);
  while (session && session->busy) {  // the same step, asked for again over a new link
    co_await changed_.wait();
    session = table_.find(device, request.session);
  }
  if (!session)
    co_return fail(Errc::kNotFound, "there is no such split session", {}, "open it again");
  CO_TRY_VOID(check(*session, request, payload));
  session->used = env_.clock.now();
  const Digest hash = sha256(payload);
  if (session->last == request && session->last_request == hash) {
    counters_.repeats += 1;
    co_return Envelope{SplitResult{request.session, request.step, request.count},
                       session->last_reply};
  }
  if (request.step != session->next) {
    counters_.out_of_step += 1;
    co_return fail(Errc::kOutOfStep,
                   "the session is at step " + std::to_string(session->next.value()) + ", not " +
                       std::to_string(request.step.value()),
                   {}, "open a new session and replay");
  }
  co_return co_await run_next(std::move(session), request, std::move(payload), hash);
}

Result<void> SplitServer::check(const ServedSession& session, const SplitStep& request,
                                const Buffer& payload) const {
  const std::size_t per_token =
      2 * sizeof(float) * session.model->model->config().width;  // x and v_first
  if (request.count == 0 || request.count > kMaxSplitTokens ||
      payload.size() != request.count * per_token) {
    return fail(Errc::kCorrupt, "a split step of " + std::to_string(request.count) +
                                    " tokens came with " + std::to_string(payload.size()) +
                                    " bytes, not " + std::to_string(request.count * per_token));
  }
  if (!all_finite(payload)) return fail(Errc::kCorrupt, "a split step holds a NaN or infinity");
  return {};
}

Task<Result<Envelope>> SplitServer::run_next(std::shared_ptr<ServedSession> session,
                                             SplitStep request, Buffer payload,
                                             Digest payload_hash) {
  const Holding busy(session->busy, changed_);
  // The job owns what it computes with: should this coroutine end before it, nothing is shared.
  std::shared_ptr<SplitWork> work = std::move(session->spare);
  if (!work) work = std::make_shared<SplitWork>(session->model, env_.compute.parallel());
  work->state = session->state;
  work->request = std::move(payload);
  std::function<void()> job = [work, range = session->opened, count = request.count] {
    run_layers(*work, range, count);
  };
  Task<void> running = env_.compute.run(std::move(job), cost_of(*session, request.count));
  co_await std::move(running);

  session->next = Step{request.step.value() + request.count};
  std::swap(session->state, work->state);
  session->state.step = session->next;
  session->last = request;
  session->last_request = payload_hash;
  session->last_reply = work->reply;
  session->used = env_.clock.now();
  session->spare = std::move(work);
  counters_.steps += 1;
  counters_.tokens += request.count;
  co_return Envelope{SplitResult{request.session, request.step, request.count},
                     session->last_reply};
}

// Two operations a weight at two thousand million operations a second: what the simulator charges.
Duration SplitServer::cost_of(const ServedSession& session, std::uint32_t count) const {
  const ModelConfig& config = session.model->model->config();
  const std::uint64_t layers = session.opened.end_layer - session.opened.first_layer;
  const std::uint64_t weights =
      std::uint64_t{config.width} * (4ULL * config.width + 2ULL * config.ffn_width);
  return std::chrono::nanoseconds(static_cast<std::int64_t>(layers * weights * count));
}

Task<Result<std::shared_ptr<const SplitModel>>> SplitServer::model_of(Digest artifact) {
  while (loading_) co_await changed_.wait();
  const auto has_digest = [&](const auto& held) { return held->artifact == artifact; };
  const auto found = std::ranges::find_if(models_, has_digest);
  if (found != models_.end()) {
    std::rotate(found, found + 1, models_.end());
    co_return models_.back();
  }
  const Holding loading(loading_, changed_);
  co_return co_await load(artifact);
}

Result<void> SplitServer::make_room_for_model() {
  if (models_.size() < kMaxSplitModels) return {};
  const auto only_held_here = [](const auto& held) { return held.use_count() == 1; };
  const auto unused = std::ranges::find_if(models_, only_held_here);
  if (unused == models_.end()) {
    return fail(Errc::kOutOfRoom,
                "sessions over " + std::to_string(kMaxSplitModels) + " artifacts are running", {},
                "run the layers on the device, or try again later");
  }
  models_.erase(unused);
  return {};
}

Task<Result<std::shared_ptr<const SplitModel>>> SplitServer::load(Digest artifact) {
  CO_TRY_VOID(make_room_for_model());
  auto loaded = std::make_shared<SplitModel>();
  loaded->artifact = artifact;
  CO_TRY(loaded->pages, co_await open_artifact_(artifact));
  auto opened = std::make_shared<Result<std::unique_ptr<Model>>>();
  std::function<void()> job = [loaded, opened] { *opened = Model::open(*loaded->pages); };
  Task<void> running = env_.compute.run(std::move(job), std::chrono::milliseconds(50));
  co_await std::move(running);
  CO_TRY(loaded->model, std::move(*opened));
  models_.push_back(loaded);
  co_return loaded;
}

void SplitServer::close(DeviceId device, SessionId session) { table_.remove(device, session); }

void SplitServer::forget(DeviceId device) { table_.remove_all_of(device); }

void SplitServer::expire() { table_.expire(env_.clock.now()); }

std::vector<SplitServer::SessionFacts> SplitServer::sessions() const {
  std::vector<SessionFacts> list;
  for (const auto& session : table_.all()) {
    const SplitOpen& opened = session->opened;
    list.push_back({opened.session, session->device, opened.artifact, opened.first_layer,
                    opened.end_layer, session->next, env_.clock.now() - session->used});
  }
  return list;
}

}  // namespace skein
