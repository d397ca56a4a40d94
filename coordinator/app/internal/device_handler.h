// DeviceHandler: answers what devices ask. Owned by Coordinator; outlives every Peer. Loop thread
// only. Whoever has no certificate may enrol and nothing else; the device behind a request is told
// by its certificate alone, looked up again at every request.
#pragma once

#include "common/wire/peer.h"
#include "coordinator/app/internal/rooms.h"

namespace skein {

class DeviceHandler final : public RequestHandler {
 public:
  explicit DeviceHandler(Rooms& rooms) : rooms_(rooms) {}
  Task<Result<Envelope>> handle(const PeerIdentity& from, Envelope request,
                                PartSink& parts) override;
  void drain() { draining_ = true; }  // new requests get Errc::kUnavailable
  std::size_t in_flight() const { return in_flight_; }

 private:
  Task<Result<Envelope>> answer(DeviceId device, Envelope request, PartSink& parts);
  Result<Envelope> heartbeat(DeviceId device, const Heartbeat& heartbeat);
  Task<Result<Envelope>> send_manifest(FetchManifest request, PartSink& parts);
  Task<Result<PageToSend>> page_for(Digest digest, bool coded);
  Task<Result<Envelope>> send_pages(FetchPages request, PartSink& parts);
  Task<Result<Envelope>> take_chunk(DeviceId device, UploadChunk request, Buffer payload);

  Rooms& rooms_;
  bool draining_ = false;
  std::size_t in_flight_ = 0;
};

}  // namespace skein
