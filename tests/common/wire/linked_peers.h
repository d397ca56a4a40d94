// Two Peers joined by streams in memory, and a handler with state that a test can ask.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "common/wire/peer.h"
#include "tests/support/link_world.h"

namespace skein::test {

// UploadChunk: answers UploadStatus{offset} and the payload, after `offset` virtual milliseconds.
// FetchPages: one PagePart of `page_bytes` per page, then Ack. SplitClose: never ends by itself.
// Anything else: kNotFound.
class BusyHandler final : public RequestHandler {
 public:
  explicit BusyHandler(LinkWorld& world) : world_(world) {}

  Task<Result<Envelope>> handle(const PeerIdentity& from, Envelope request,
                                PartSink& parts) override {
    const Inside here(*this);
    last_name = from.name;
    if (const auto* chunk = std::get_if<UploadChunk>(&request.message)) {
      co_await world_.clock.sleep_for(std::chrono::milliseconds(chunk->offset));
      co_return Envelope{UploadStatus{chunk->offset, true}, std::move(request.payload)};
    }
    if (const auto* fetch = std::get_if<FetchPages>(&request.message)) {
      for (const Digest& page : fetch->pages) {
        const Buffer payload(page_bytes, page.bytes[0]);
        CO_TRY_VOID(co_await parts.send(PagePart{page}, payload));
        ++parts_sent;
      }
      co_return Envelope{Ack{}, {}};
    }
    if (std::holds_alternative<SplitClose>(request.message)) {
      const Unwound leaving(*this);
      co_await world_.clock.sleep_for(std::chrono::hours(1000));
      co_return Envelope{Ack{}, {}};
    }
    co_return fail(Errc::kNotFound, "no such thing", "here", "look elsewhere");
  }

  std::size_t page_bytes = 100'000;
  std::size_t parts_sent = 0;
  std::size_t inside = 0, most_inside = 0, unwound = 0;
  std::string last_name;

 private:
  struct Inside {
    explicit Inside(BusyHandler& owner) : handler(owner) {
      handler.most_inside = std::max(handler.most_inside, ++handler.inside);
    }
    ~Inside() { --handler.inside; }
    BusyHandler& handler;
  };
  struct Unwound {
    explicit Unwound(BusyHandler& owner) : handler(owner) {}
    ~Unwound() { ++handler.unwound; }
    BusyHandler& handler;
  };
  LinkWorld& world_;
};

using Outcome = std::optional<Result<Envelope>>;
inline Task<void> keep(Task<Result<Envelope>> call, Outcome& out) {
  out = co_await std::move(call);
}

// `edge` calls, `cloud` serves. Each run() ends into its own reason.
struct LinkedPeers {
  explicit LinkedPeers(LinkWorld& w, PeerOptions options = {})
      : world(w),
        handler(w),
        streams(make_stream_pair(w.env().executor, {"10.0.0.7", "device-7", 7, {}})) {
    edge = std::make_unique<Peer>(w.env(), std::move(streams.left), nullptr, options);
    cloud = std::make_unique<Peer>(w.env(), std::move(streams.right), &handler, options);
    w.spawn(keep(edge->run(), edge_reason));
    w.spawn(keep(cloud->run(), cloud_reason));
  }
  ~LinkedPeers() {  // the handler must outlive what serves it
    edge->close();
    cloud->close();
    Task<void> ended = both_ended();
    world.run(std::move(ended));
  }
  Task<void> both_ended() {
    while (!edge_reason || !cloud_reason) {
      co_await world.clock.sleep_for(std::chrono::milliseconds(10));
    }
  }
  static Task<void> keep(Task<Result<void>> run, std::optional<Result<void>>& out) {
    out = co_await std::move(run);
  }
  Instant in(Duration duration) const { return world.clock.now() + duration; }
  Task<Result<Envelope>> ask(std::uint64_t delay_ms, Duration limit = std::chrono::seconds(60)) {
    return edge->call(UploadChunk{RoundId(1), delay_ms}, to_buffer("payload"), in(limit));
  }

  LinkWorld& world;
  BusyHandler handler;
  StreamPair streams;
  std::unique_ptr<Peer> edge, cloud;
  std::optional<Result<void>> edge_reason, cloud_reason;
};

}  // namespace skein::test
