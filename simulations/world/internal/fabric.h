// Fabric: what lies between the nodes: links, the listening doors, and the wires of open streams.
//
// A wire has two ends. Bytes written at one end wait for the link (bandwidth, shared by all streams
// of the pair), travel (latency, jitter, losses as delay) and arrive in order at the other. While a
// link is cut nothing arrives: what comes due is held at its end until the link heals or the
// stream's patience is over.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>

#include "common/env/network.h"
#include "simulations/world/internal/core.h"
#include "simulations/world/internal/senses.h"

namespace skein::sim {

struct End {
  End(const Executor& executor, std::shared_ptr<const Epoch> e)
      : epoch(std::move(e)), changed(executor) {}
  std::shared_ptr<const Epoch> epoch;
  PeerIdentity peer;
  bool closed = false;  // by its owner
  bool writing = false;
  bool ended = false;  // the peer's orderly end has arrived
  std::optional<Error> broken;
  Buffer arrived;  // not yet read: arrived[taken..]
  std::size_t taken = 0;
  std::size_t on_the_way = 0;              // bytes sent to this end and not yet arrived
  Instant last_arrival{};                  // nothing overtakes
  std::deque<std::optional<Buffer>> held;  // came due while the link was cut; nullopt = the end
  Signal changed;
};

struct Wire {
  Wire(Core& core, std::string_view name, std::shared_ptr<const Epoch> a,
       std::shared_ptr<const Epoch> b)
      : ends{End(core.loop().get_executor(), std::move(a)),
             End(core.loop().get_executor(), std::move(b))},
        random(core, name) {}
  std::array<End, 2> ends;
  SimRandom random;
};

struct Door {
  Door(const Executor& executor, std::shared_ptr<const Epoch> e, Endpoint a,
       std::shared_ptr<const TlsOptions> t, Log& l)
      : epoch(std::move(e)), at(std::move(a)), tls(std::move(t)), log(l), changed(executor) {}
  std::shared_ptr<const Epoch> epoch;
  Endpoint at;
  std::shared_ptr<const TlsOptions> tls;
  Log& log;
  std::deque<std::unique_ptr<Stream>> admitted;
  bool closed = false;
  Signal changed;
};

class Fabric {
 public:
  explicit Fabric(Core& core) : core_(core) {}

  static constexpr std::size_t kWindow = 256 * 1024;  // unread and on the way, per direction
  static constexpr std::size_t kSegment = 16 * 1024;
  static constexpr int kMaxRetransmits = 6;
  static constexpr std::size_t kMaxAdmitted = 64;

  // Streams.
  std::shared_ptr<Wire> join(std::shared_ptr<const Epoch> a, std::shared_ptr<const Epoch> b);
  void send(const std::shared_ptr<Wire>& wire, std::size_t from, std::optional<Buffer> bytes);
  void break_wire(Wire& wire, const Error& why);
  // The news of an abrupt end, which itself must cross the link.
  void send_reset(const std::shared_ptr<Wire>& wire, std::size_t from);

  // Doors.
  Result<std::shared_ptr<Door>> open_door(std::shared_ptr<const Epoch> epoch, Endpoint at,
                                          std::shared_ptr<const TlsOptions> tls, Log& log);
  std::shared_ptr<Door> find_door(const Endpoint& at) const;  // null: nobody listens
  void close_door(Door& door);
  std::uint16_t free_port(const std::string& node);

  // Links and nodes.
  void set_profile(const std::string& from, const std::string& to, LinkProfile profile);
  void cut(const std::string& from, const std::string& to);
  void heal(const std::string& from, const std::string& to);
  void heal_all();
  void reset_streams(const std::string& a, const std::string& b);
  void node_ended(const Epoch& epoch);
  bool is_cut(const std::string& from, const std::string& to) const;
  Duration travel_time(const std::string& from, const std::string& to);  // of a small message
  Core& core() { return core_; }

 private:
  struct Link {
    Link(Core& core, const std::string& name) : random(core, name) {}
    std::optional<LinkProfile> profile;
    bool is_cut = false;
    std::uint64_t cuts = 0;
    Instant free_at{};
    SimRandom random;
  };
  using Pair = std::pair<std::string, std::string>;  // from, to

  Link& link(const std::string& from, const std::string& to);
  const LinkProfile& profile_of(const Link& link) const;
  // Nullopt: lost so often that the stream breaks.
  std::optional<Duration> loss_delay(Link& link);
  void arrive(const std::shared_ptr<Wire>& wire, std::size_t to, std::optional<Buffer> bytes);
  void deliver(const std::shared_ptr<Wire>& wire, std::size_t to, std::optional<Buffer> bytes);
  void lose_patience(const std::string& from, const std::string& to, std::uint64_t cut_number);
  template <class F>
  void for_each_wire(const std::string& a, const std::string& b, F action);

  Core& core_;
  std::map<Pair, Link> links_;
  std::map<Pair, std::vector<std::weak_ptr<Wire>>> wires_;  // by the names in order
  std::map<Pair, std::uint64_t> joined_;                    // how many wires there ever were
  std::map<std::pair<std::string, std::uint16_t>, std::weak_ptr<Door>> doors_;
  std::map<std::string, std::uint16_t> next_port_;
};

}  // namespace skein::sim
