#include "simulations/world/internal/fabric.h"

#include <algorithm>

namespace skein::sim {

namespace {

constexpr Duration kFirstRetransmit = std::chrono::milliseconds(200);

constexpr LinkProfile kLoopback{std::chrono::microseconds(30), 0.1, 1e9, 0};

Error unavailable(std::string what, const std::string& where) {
  return Error{Errc::kUnavailable, "the connection broke: " + std::move(what), where, {}};
}

std::pair<std::string, std::string> unordered(const std::string& a, const std::string& b) {
  return a < b ? std::pair(a, b) : std::pair(b, a);
}

}  // namespace

// ---- links

Fabric::Link& Fabric::link(const std::string& from, const std::string& to) {
  const auto [place, added] = links_.try_emplace(Pair(from, to), core_, "link/" + from + ">" + to);
  if (added && from == to) place->second.profile = kLoopback;
  return place->second;
}

const LinkProfile& Fabric::profile_of(const Link& link) const {
  return link.profile ? *link.profile : core_.plan().link;
}

void Fabric::set_profile(const std::string& from, const std::string& to, LinkProfile profile) {
  link(from, to).profile = profile;
}

bool Fabric::is_cut(const std::string& from, const std::string& to) const {
  const auto found = links_.find(Pair(from, to));
  return found != links_.end() && found->second.is_cut;
}

void Fabric::cut(const std::string& from, const std::string& to) {
  Link& between = link(from, to);
  if (between.is_cut) return;
  between.is_cut = true;
  const std::uint64_t number = ++between.cuts;
  core_.trace(from, "net.cut", to);
  core_.schedule(core_.now() + core_.plan().patience,
                 [this, from, to, number] { lose_patience(from, to, number); });
}

void Fabric::lose_patience(const std::string& from, const std::string& to,
                           std::uint64_t cut_number) {
  const Link& between = link(from, to);
  if (!between.is_cut || between.cuts != cut_number) return;
  const Error why = unavailable("the link is silent", from + " to " + to);
  for_each_wire(from, to, [&](const std::shared_ptr<Wire>& wire) { break_wire(*wire, why); });
}

void Fabric::heal(const std::string& from, const std::string& to) {
  Link& between = link(from, to);
  if (!std::exchange(between.is_cut, false)) return;
  core_.trace(from, "net.heal", to);
  for_each_wire(from, to, [&](const std::shared_ptr<Wire>& wire) {
    for (std::size_t end = 0; end < 2; ++end) {
      if (wire->ends[end].epoch->node != to || wire->ends[1 - end].epoch->node != from) continue;
      auto held = std::exchange(wire->ends[end].held, {});
      for (auto& bytes : held) deliver(wire, end, std::move(bytes));
    }
  });
}

void Fabric::heal_all() {
  std::vector<Pair> cut_links;
  for (const auto& [pair, between] : links_) {
    if (between.is_cut) cut_links.push_back(pair);
  }
  for (const auto& [from, to] : cut_links) heal(from, to);
}

std::optional<Duration> Fabric::loss_delay(Link& between) {
  Duration delay{0};
  for (int i = 0; core_.strikes(between.random, profile_of(between).loss); ++i) {
    if (i == kMaxRetransmits) return std::nullopt;
    delay += kFirstRetransmit * (1 << i);
  }
  return delay;
}

Duration Fabric::travel_time(const std::string& from, const std::string& to) {
  Link& between = link(from, to);
  const LinkProfile& profile = profile_of(between);
  const Duration travel = between.random.jitter(profile.latency, profile.jitter);
  return travel + loss_delay(between).value_or(kFirstRetransmit * (1 << kMaxRetransmits));
}

// ---- streams

std::shared_ptr<Wire> Fabric::join(std::shared_ptr<const Epoch> a, std::shared_ptr<const Epoch> b) {
  const Pair pair = unordered(a->node, b->node);
  const std::string name =
      "wire/" + pair.first + "/" + pair.second + "/" + std::to_string(joined_[pair]++);
  auto wire = std::make_shared<Wire>(core_, name, std::move(a), std::move(b));
  auto& between = wires_[pair];
  std::erase_if(between, [](const std::weak_ptr<Wire>& old) { return old.expired(); });
  between.push_back(wire);
  return wire;
}

template <class F>
void Fabric::for_each_wire(const std::string& a, const std::string& b, F action) {
  const auto found = wires_.find(unordered(a, b));
  if (found == wires_.end()) return;
  const auto wires = found->second;
  for (const auto& weak : wires) {
    if (const auto wire = weak.lock()) action(wire);
  }
}

void Fabric::send(const std::shared_ptr<Wire>& wire, std::size_t from,
                  std::optional<Buffer> bytes) {
  End& sender = wire->ends[from];
  End& receiver = wire->ends[1 - from];
  Link& between = link(sender.epoch->node, receiver.epoch->node);
  const LinkProfile& profile = profile_of(between);
  const std::size_t size = bytes ? bytes->size() : 0;
  receiver.on_the_way += size;

  const auto transmit =
      static_cast<Duration::rep>(static_cast<double>(size) / profile.bytes_per_second * 1e9);
  between.free_at = std::max(between.free_at, core_.now()) + Duration(transmit);
  const auto delay = loss_delay(between);
  if (!delay || core_.strikes(between.random, core_.plan().stream_reset)) {
    core_.trace(sender.epoch->node, "net.reset", receiver.epoch->node);
    break_wire(*wire, unavailable("too much was lost", receiver.epoch->node));
    return;
  }
  const Instant arrival =
      between.free_at + between.random.jitter(profile.latency, profile.jitter) + *delay;
  receiver.last_arrival = std::max(receiver.last_arrival, arrival);
  core_.schedule(receiver.last_arrival,
                 [this, wire, to = 1 - from, bytes = std::move(bytes)]() mutable {
                   arrive(wire, to, std::move(bytes));
                 });
}

void Fabric::arrive(const std::shared_ptr<Wire>& wire, std::size_t to,
                    std::optional<Buffer> bytes) {
  if (is_cut(wire->ends[1 - to].epoch->node, wire->ends[to].epoch->node)) {
    wire->ends[to].held.push_back(std::move(bytes));
  } else {
    deliver(wire, to, std::move(bytes));
  }
}

void Fabric::deliver(const std::shared_ptr<Wire>& wire, std::size_t to,
                     std::optional<Buffer> bytes) {
  End& receiver = wire->ends[to];
  End& sender = wire->ends[1 - to];
  if (receiver.broken) return;
  if (!bytes) {
    core_.trace(receiver.epoch->node, "net.end", sender.epoch->node);
    receiver.ended = true;
    receiver.changed.notify_all();
    return;
  }
  receiver.on_the_way -= bytes->size();
  if (receiver.closed) {  // nobody reads any more: the sender is told
    send_reset(wire, to);
    return;
  }
  core_.trace(receiver.epoch->node, "net.bytes",
              sender.epoch->node + " " + std::to_string(bytes->size()) + " " +
                  std::to_string(hash_of(*bytes)));
  append(receiver.arrived, *bytes);
  receiver.changed.notify_all();
}

void Fabric::break_wire(Wire& wire, const Error& why) {
  for (End& end : wire.ends) {
    if (!end.broken) end.broken = why;
    end.held.clear();
    end.changed.notify_all();
  }
}

void Fabric::send_reset(const std::shared_ptr<Wire>& wire, std::size_t from) {
  const std::string& here = wire->ends[from].epoch->node;
  const std::string& there = wire->ends[1 - from].epoch->node;
  core_.schedule(core_.now() + travel_time(here, there), [this, wire, here, there] {
    if (is_cut(here, there)) return;  // the link's patience will tell
    break_wire(*wire, unavailable("reset by the peer", here));
  });
}

void Fabric::reset_streams(const std::string& a, const std::string& b) {
  const Error why = unavailable("reset", a + " and " + b);
  for_each_wire(a, b, [&](const std::shared_ptr<Wire>& wire) { break_wire(*wire, why); });
}

void Fabric::node_ended(const Epoch& epoch) {
  const Error why = dead_epoch_error(epoch);
  for (const auto& [pair, between] : wires_) {
    if (pair.first != epoch.node && pair.second != epoch.node) continue;
    const auto wires = between;
    for (const auto& weak : wires) {
      const auto wire = weak.lock();
      for (std::size_t end = 0; wire && end < 2; ++end) {
        if (wire->ends[end].epoch.get() != &epoch) continue;
        wire->ends[end].broken = why;
        wire->ends[end].changed.notify_all();
        send_reset(wire, end);
      }
    }
  }
  for (const auto& [at, weak] : doors_) {
    const auto door = weak.lock();
    if (door && door->epoch.get() == &epoch) close_door(*door);
  }
}

// ---- doors

std::uint16_t Fabric::free_port(const std::string& node) {
  std::uint16_t& next = next_port_.try_emplace(node, std::uint16_t{40'000}).first->second;
  while (doors_.contains({node, next}) && !doors_[{node, next}].expired()) {
    next = next == UINT16_MAX ? std::uint16_t{40'000} : static_cast<std::uint16_t>(next + 1);
  }
  const std::uint16_t port = next;
  next = next == UINT16_MAX ? std::uint16_t{40'000} : static_cast<std::uint16_t>(next + 1);
  return port;
}

Result<std::shared_ptr<Door>> Fabric::open_door(std::shared_ptr<const Epoch> epoch, Endpoint at,
                                                std::shared_ptr<const TlsOptions> tls, Log& log) {
  at.host = epoch->node;
  if (at.port == 0) at.port = free_port(at.host);
  auto& place = doors_[{at.host, at.port}];
  if (const auto other = place.lock(); other && !other->closed) {
    return fail(Errc::kUnavailable, "cannot listen: Address already in use", to_string(at),
                "stop what uses the address, or choose another port");
  }
  auto door = std::make_shared<Door>(core_.loop().get_executor(), std::move(epoch), std::move(at),
                                     std::move(tls), log);
  place = door;
  return door;
}

std::shared_ptr<Door> Fabric::find_door(const Endpoint& at) const {
  const auto found = doors_.find({at.host, at.port});
  auto door = found == doors_.end() ? nullptr : found->second.lock();
  return door && !door->closed ? door : nullptr;
}

void Fabric::close_door(Door& door) {
  if (std::exchange(door.closed, true)) return;
  door.admitted.clear();
  door.changed.notify_all();
}

}  // namespace skein::sim
