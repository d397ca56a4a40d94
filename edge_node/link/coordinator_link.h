// CoordinatorLink: keeps one connection to the coordinator: enrols when it must, dials with
// jittered backoff, sends heartbeats. Owned by the app; loop thread only. stop() before destroying.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "edge_node/link/identity.h"
#include "edge_node/link/uplink.h"

namespace skein {

inline constexpr Duration kFirstRedial = std::chrono::milliseconds(250);
inline constexpr Duration kMaxRedial = std::chrono::seconds(10);  // unless options say otherwise
inline constexpr double kRedialJitter = 0.5;
inline constexpr Duration kMinHeartbeat = std::chrono::milliseconds(50);
inline constexpr Duration kMaxHeartbeat = std::chrono::hours(1);
inline constexpr double kHeartbeatJitter = 0.1;
inline constexpr Duration kHeartbeatLimit = std::chrono::seconds(20);  // one exchange
inline constexpr Duration kEnrolLimit = std::chrono::seconds(20);

// What the heartbeats carry; the app implements it. Must not wait.
class HeartbeatDuty {
 public:
  virtual ~HeartbeatDuty() = default;
  virtual Heartbeat compose() = 0;
  virtual void answered(const HeartbeatReply& reply) = 0;
};

struct LinkOptions {
  Endpoint coordinator;
  std::string token;  // empty: only an existing identity will do
  std::string device_name;
  std::string directory;    // of the identity
  std::string server_name;  // the coordinator's certificate must be for it; empty = any host of
                            // the pinned authority
  Duration redial_max = kMaxRedial;
  PeerOptions peer{};
};

class CoordinatorLink final : public Uplink {
 public:
  CoordinatorLink(Env env, LinkOptions options, HeartbeatDuty& duty);
  ~CoordinatorLink() override;
  CoordinatorLink(const CoordinatorLink&) = delete;
  CoordinatorLink& operator=(const CoordinatorLink&) = delete;

  // Reads the identity from disk, if there is one, so that its artifact key is known offline too.
  Task<Result<void>> load();
  Task<void> run();   // until stop() or cancelled; never gives up
  Task<void> stop();  // ends run()'s link and its tasks
  // The next heartbeat goes out now instead of at the interval's end.
  void heartbeat_soon();
  // nullopt until enrolled.
  const std::optional<DeviceIdentity>& identity() const;

  bool connected() const override;
  Task<bool> wait_connected(Instant deadline) override;
  Task<Result<Envelope>> call(Message request, Buffer payload, Instant deadline) override;
  Task<Result<Envelope>> call_streaming(Message request, Peer::OnPart on_part,
                                        Duration idle_limit) override;

 private:
  Task<Result<void>> connect_once();
  Task<Result<void>> ensure_identity();
  static Task<void> run_peer(std::shared_ptr<Peer> peer, std::shared_ptr<Result<void>> ended);
  Task<void> heartbeats(std::shared_ptr<Peer> peer);
  Task<Result<Duration>> heartbeat_once(std::shared_ptr<Peer> peer);
  Task<void> wait_until(Instant until, std::function<bool()> enough);

  Env env_;
  LinkOptions options_;
  HeartbeatDuty& duty_;
  std::optional<DeviceIdentity> identity_;
  std::shared_ptr<Peer> peer_;  // while the link stands
  Signal changed_;              // peer_ came, or a heartbeat is wanted
  TaskGroup beats_;
  bool hurry_ = false;
  bool stopping_ = false;
  bool stood_ = false;  // the last attempt reached a working link
};

}  // namespace skein
