// FakeCoordinator: an Uplink with a coordinator behind it that keeps artifacts and split sessions,
// and a link that can be cut, slowed or lied on. State, not scripts: tests set knobs and ask
// counters. Tests only.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "common/artifact/page_source.h"
#include "edge_node/link/uplink.h"
#include "tests/edge_node/golden_model.h"

namespace skein::test {

class FakeCoordinator final : public Uplink {
 public:
  explicit FakeCoordinator(Env env) : env_(env) {}

  Digest publish(PageSource& source, std::optional<SigningKey> key) {
    const SignedManifest manifest = sign_manifest(source.manifest(), key);
    manifests[manifest.digest()] = encode_signed_manifest(manifest);
    const auto parts = parts_of_pages(source.manifest());
    PageCoder coder;
    for (std::uint32_t i = 0; i < source.manifest().pages.size(); ++i) {
      const Digest& digest = source.manifest().pages[i].digest;
      pages[digest] = to_buffer(source.page(PageIndex(i)).value());
      coded[digest] = coder.code(pages[digest], parts[i]);
    }
    return manifest.digest();
  }

  // ---- knobs ----
  std::map<Digest, Buffer> manifests;
  std::map<Digest, Buffer> pages;
  std::map<Digest, Buffer> coded;  // the same pages' coded forms
  bool knows_coding = false;       // sends those to whoever takes them; else of the first release
  std::optional<std::uint64_t> cut_after_parts;  // the link dies when so many more were sent
  bool repeats_parts = false;                    // every page twice
  std::shared_ptr<const HostedModel> model;      // for split sessions
  bool link_up = true;
  std::optional<std::uint64_t> cut_at_step;  // the link dies before this split step is run
  std::optional<std::uint64_t> lose_reply_of_step;
  bool returns = true;  // a cut link is up again when waited for

  // Forgets what a restart forgets.
  void restart() { sessions_.clear(); }

  // ---- what happened ----
  std::map<Digest, int> times_sent;  // pages
  std::uint64_t page_bytes_sent = 0;
  std::uint64_t steps_run = 0, steps_repeated = 0;
  std::size_t open_sessions() const { return sessions_.size(); }

  bool connected() const override { return link_up; }
  Task<bool> wait_connected(Instant) override {
    if (returns) link_up = true;
    co_return link_up;
  }

  Task<Result<Envelope>> call(Message request, Buffer payload, Instant) override {
    if (!link_up) co_return fail(Errc::kUnavailable, "no link");
    if (const auto* open = std::get_if<SplitOpen>(&request)) co_return opened(*open);
    if (const auto* step = std::get_if<SplitStep>(&request)) co_return stepped(*step, payload);
    if (const auto* close = std::get_if<SplitClose>(&request)) {
      sessions_.erase(close->session);
      co_return Envelope{Ack{}, {}};
    }
    co_return fail(Errc::kUnsupported, "not asked of this coordinator");
  }

  Task<Result<Envelope>> call_streaming(Message request, Peer::OnPart on_part, Duration) override {
    if (!link_up) co_return fail(Errc::kUnavailable, "no link");
    if (const auto* wanted = std::get_if<FetchManifest>(&request)) {
      co_return co_await send_manifest(*wanted, std::move(on_part));
    }
    if (auto* wanted = std::get_if<FetchPages>(&request)) {
      co_return co_await send_pages(std::move(*wanted), std::move(on_part));
    }
    co_return fail(Errc::kUnsupported, "not asked of this coordinator");
  }

 private:
  struct SplitState {
    RwkvState state;
    std::uint32_t first = 0;
    std::uint64_t next = 0;
    SplitStep last{};
    Buffer reply;
  };

  bool cut_now() {
    if (!cut_after_parts) return false;
    if (*cut_after_parts > 0) {
      *cut_after_parts -= 1;
      return false;
    }
    cut_after_parts.reset();
    link_up = false;
    return true;
  }

  Task<Result<Envelope>> send_manifest(FetchManifest wanted, Peer::OnPart on_part) {
    const auto found = manifests.find(wanted.artifact);
    if (found == manifests.end()) co_return fail(Errc::kNotFound, "no such artifact");
    constexpr std::size_t kPiece = 1000;
    const Buffer blob = found->second;
    for (std::size_t at = 0; at < blob.size(); at += kPiece) {
      if (cut_now()) co_return fail(Errc::kUnavailable, "the link was cut");
      const std::size_t count = std::min(kPiece, blob.size() - at);
      Message part = ManifestPart{at, blob.size()};
      Buffer piece = to_buffer(ByteView(blob).subspan(at, count));
      CO_TRY_VOID(co_await on_part(std::move(part), std::move(piece)));
    }
    co_return Envelope{Ack{}, {}};
  }

  Task<Result<Envelope>> send_pages(FetchPages wanted, Peer::OnPart on_part) {
    for (const Digest& digest : wanted.pages) {
      const auto found = pages.find(digest);
      if (found == pages.end()) continue;
      for (int copy = 0; copy < (repeats_parts ? 2 : 1); ++copy) {
        if (cut_now()) co_return fail(Errc::kUnavailable, "the link was cut");
        times_sent[digest] += 1;
        const bool sends_coded = wanted.coded && knows_coding;
        Message part = PagePart{digest, sends_coded};
        Buffer bytes = sends_coded ? coded.at(digest) : found->second;
        page_bytes_sent += bytes.size();
        CO_TRY_VOID(co_await on_part(std::move(part), std::move(bytes)));
      }
    }
    co_return Envelope{Ack{}, {}};
  }

  Result<Envelope> opened(const SplitOpen& open) {
    if (!model || open.artifact != model->digest) return fail(Errc::kNotFound, "no such model");
    auto [session, is_new] = sessions_.try_emplace(open.session);
    if (is_new) {
      session->second.state = model->model->initial_state();
      session->second.first = open.first_layer;
    }
    return Envelope{SplitOpened{Step(session->second.next)}, {}};
  }

  Result<Envelope> stepped(const SplitStep& step, ByteView payload) {
    const auto found = sessions_.find(step.session);
    if (found == sessions_.end()) return fail(Errc::kOutOfStep, "no such session");
    SplitState& session = found->second;
    if (cut_at_step && step.step.value() <= *cut_at_step &&
        *cut_at_step < step.step.value() + step.count) {
      cut_at_step.reset();
      link_up = false;
      return fail(Errc::kUnavailable, "the link was cut");
    }
    if (step == session.last && !session.reply.empty()) {
      steps_repeated += 1;
    } else if (step.step.value() == session.next) {
      run(session, step, payload);
    } else {
      return fail(Errc::kOutOfStep, "another step was expected");
    }
    if (lose_reply_of_step == step.step.value()) {
      lose_reply_of_step.reset();
      link_up = false;
      return fail(Errc::kUnavailable, "the link was cut");
    }
    return Envelope{SplitResult{step.session, step.step, step.count}, session.reply};
  }

  void run(SplitState& session, const SplitStep& step, ByteView payload) {
    const ModelConfig& config = model->model->config();
    const std::size_t half = config.width * sizeof(float);
    CHECK(payload.size() == step.count * 2 * half);
    Runner runner(*model->model, serial_);
    Activation activation{std::vector<float>(config.width), std::vector<float>(config.width)};
    session.reply.clear();
    for (std::uint32_t i = 0; i < step.count; ++i) {
      std::memcpy(activation.x.data(), payload.data() + 2 * i * half, half);
      std::memcpy(activation.v_first.data(), payload.data() + (2 * i + 1) * half, half);
      runner.layers(LayerIndex(session.first), LayerIndex(config.layers), activation,
                    session.state);
      append(session.reply, std::as_bytes(std::span(activation.x)));
    }
    session.next += step.count;
    session.last = step;
    steps_run += 1;
  }

  Env env_;
  SerialParallel serial_;
  std::map<SessionId, SplitState> sessions_;
};

}  // namespace skein::test
