#include "coordinator/app/internal/device_handler.h"

#include <algorithm>

namespace skein {

namespace {

constexpr std::size_t kManifestPartBytes = 256 * 1024;

class Counted {
 public:
  explicit Counted(std::size_t& count) : count_(count) { ++count_; }
  ~Counted() { --count_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 private:
  std::size_t& count_;
};

Envelope plain(Message message) { return Envelope{std::move(message), {}}; }

// A room's answer as the reply's envelope.
template <class T>
Result<Envelope> wrapped(Result<T> result) {
  if (!result) return tl::unexpected(std::move(result.error()));
  return plain(std::move(*result));
}

}  // namespace

Task<Result<Envelope>> DeviceHandler::handle(const PeerIdentity& from, Envelope request,
                                             PartSink& parts) {
  const Counted counted(in_flight_);
  if (draining_) co_return fail(Errc::kUnavailable, "the coordinator is going down");
  if (const auto* enrol = std::get_if<EnrolRequest>(&request.message)) {
    auto reply = rooms_.devices.enrol(*enrol);
    rooms_.traffic.enrolments += reply ? 1 : 0;
    if (!reply) {
      rooms_.traffic.refusals += 1;
      rooms_.env.log.warn("enrolment refused",
                          {{"from", from.address}, {"reason", to_string(reply.error())}});
    }
    co_return wrapped(std::move(reply));
  }
  const auto device = rooms_.devices.identify(from);
  if (!device) {
    rooms_.traffic.refusals += 1;
    rooms_.env.log.warn("request refused",
                        {{"from", from.address}, {"reason", to_string(device.error())}});
    co_return tl::unexpected(device.error());
  }
  Task<Result<Envelope>> answering = answer(*device, std::move(request), parts);
  co_return co_await std::move(answering);
}

Task<Result<Envelope>> DeviceHandler::answer(DeviceId device, Envelope request, PartSink& parts) {
  Message& message = request.message;
  if (const auto* said = std::get_if<Heartbeat>(&message)) co_return heartbeat(device, *said);
  if (const auto* wanted = std::get_if<FetchManifest>(&message))
    co_return co_await send_manifest(*wanted, parts);
  if (auto* wanted = std::get_if<FetchPages>(&message))
    co_return co_await send_pages(std::move(*wanted), parts);
  if (const auto* open = std::get_if<SplitOpen>(&message))
    co_return wrapped(co_await rooms_.split.open(device, *open));
  if (const auto* step = std::get_if<SplitStep>(&message))
    co_return co_await rooms_.split.step(device, *step, std::move(request.payload));
  if (const auto* close = std::get_if<SplitClose>(&message)) {
    rooms_.split.close(device, close->session);
    co_return plain(Ack{});
  }
  if (const auto* begin = std::get_if<UploadBegin>(&message))
    co_return wrapped(co_await rooms_.rounds.begin_upload(device, *begin));
  if (const auto* chunk = std::get_if<UploadChunk>(&message))
    co_return co_await take_chunk(device, *chunk, std::move(request.payload));
  co_return fail(Errc::kUnsupported, "a device cannot ask for " + std::string(name_of(message)));
}

Result<Envelope> DeviceHandler::heartbeat(DeviceId device, const Heartbeat& heartbeat) {
  rooms_.traffic.heartbeats += 1;
  TRY_VOID(rooms_.devices.heard(device, heartbeat));
  const DeviceRow* row = rooms_.devices.find(device);
  const bool admitted = row != nullptr && row->state == DeviceState::kActive;
  TRY(auto answer, rooms_.rollouts.heard(device, heartbeat, admitted));

  HeartbeatReply reply;
  reply.wall_seconds = rooms_.env.clock.wall_now().time_since_epoch().count();
  reply.interval_ms = rooms_.config.heartbeat_ms;
  reply.recorded = std::move(answer.recorded);
  if (answer.offer) {
    const auto& [rollout, artifact] = *answer.offer;
    const ArtifactRow* offered = rooms_.artifacts.find(artifact);
    reply.offer = UpdateOffer{rollout, artifact, offered == nullptr ? 0 : offered->bytes};
  }
  if (admitted && !reply.offer) {
    TRY(reply.round, rooms_.rounds.offer_for(device, heartbeat.active));
  }
  return plain(std::move(reply));
}

Task<Result<Envelope>> DeviceHandler::send_manifest(FetchManifest request, PartSink& parts) {
  CO_TRY(const Buffer blob, co_await rooms_.artifacts.signed_manifest_blob(request.artifact));
  for (std::size_t offset = 0; offset < blob.size(); offset += kManifestPartBytes) {
    const std::size_t count = std::min(kManifestPartBytes, blob.size() - offset);
    Message part = ManifestPart{offset, blob.size()};
    CO_TRY_VOID(co_await parts.send(std::move(part), ByteView(blob).subspan(offset, count)));
  }
  rooms_.traffic.manifests_sent += 1;
  co_return plain(Ack{});
}

Task<Result<PageToSend>> DeviceHandler::page_for(Digest digest, bool coded) {
  if (coded) co_return co_await rooms_.artifacts.coded_page(digest);
  CO_TRY(Buffer page, co_await rooms_.artifacts.page(digest));
  co_return PageToSend{std::make_shared<const Buffer>(std::move(page)), false};
}

// A page that is not here is left out: the device sees which ones came and asks again or fails.
Task<Result<Envelope>> DeviceHandler::send_pages(FetchPages request, PartSink& parts) {
  for (const Digest& digest : request.pages) {
    auto page = co_await page_for(digest, request.coded);
    if (!page) {
      rooms_.env.log.warn("page not sent",
                          {{"page", digest.short_hex()}, {"reason", to_string(page.error())}});
      continue;
    }
    Message part = PagePart{digest, page->coded};
    CO_TRY_VOID(co_await parts.send(std::move(part), *page->bytes));
    rooms_.traffic.pages_sent += 1;
    rooms_.traffic.page_bytes_sent += page->bytes->size();
  }
  co_return plain(Ack{});
}

Task<Result<Envelope>> DeviceHandler::take_chunk(DeviceId device, UploadChunk request,
                                                 Buffer payload) {
  rooms_.traffic.upload_bytes += payload.size();
  co_return wrapped(co_await rooms_.rounds.take_chunk(device, request, std::move(payload)));
}

}  // namespace skein
