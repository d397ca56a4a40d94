#include "simulations/world/internal/sim_stream.h"

#include "common/base/check.h"

namespace skein::sim {

namespace {

// What an operation at this end runs into, if anything.
std::optional<Error> obstacle(const End& end) {
  if (end.closed) {
    return Error{Errc::kCancelled, "the connection was closed on this side", end.peer.address, {}};
  }
  if (!end.epoch->alive) return dead_epoch_error(*end.epoch);
  return end.broken;
}

std::size_t read_size(Core& core, Random& random, std::size_t most) {
  if (!core.strikes(random, core.plan().short_read)) return most;
  return 1 + random.below(most);
}

Task<Result<std::size_t>> read_from(Fabric& fabric, std::shared_ptr<Wire> wire, std::size_t which,
                                    MutableByteView into) {
  CHECK(!into.empty());
  End& end = wire->ends[which];
  for (;;) {
    const std::size_t there = end.arrived.size() - end.taken;
    const auto error = obstacle(end);
    if (error && (there == 0 || error->code != Errc::kUnavailable)) {
      co_return tl::unexpected<Error>(*error);
    }
    if (there > 0) {
      const std::size_t size = read_size(fabric.core(), wire->random, std::min(there, into.size()));
      std::ranges::copy(ByteView(end.arrived).subspan(end.taken, size), into.begin());
      end.taken += size;
      if (end.taken == end.arrived.size()) {
        end.arrived.clear();
        end.taken = 0;
      }
      wire->ends[1 - which].changed.notify_all();  // there is room again
      co_return size;
    }
    if (end.ended) co_return std::size_t{0};
    co_await end.changed.wait();
  }
}

Task<Result<void>> write_to(Fabric& fabric, std::shared_ptr<Wire> wire, std::size_t which,
                            ByteView bytes) {
  End& end = wire->ends[which];
  const End& other = wire->ends[1 - which];
  CHECK(!end.writing);  // one writer at a time
  struct Writing {
    bool& flag;
    explicit Writing(bool& f) : flag(f) { flag = true; }
    ~Writing() { flag = false; }
  };
  const Writing writing(end.writing);
  while (!bytes.empty()) {
    if (const auto error = obstacle(end)) co_return tl::unexpected<Error>(*error);
    const std::size_t used = other.on_the_way + other.arrived.size() - other.taken;
    const std::size_t room = used < Fabric::kWindow ? Fabric::kWindow - used : 0;
    if (room == 0) {
      co_await end.changed.wait();
      continue;
    }
    const ByteView piece = bytes.first(std::min({bytes.size(), room, Fabric::kSegment}));
    bytes = bytes.subspan(piece.size());
    fabric.send(wire, which, to_buffer(piece));
  }
  if (const auto error = obstacle(end)) co_return tl::unexpected<Error>(*error);
  co_return Result<void>{};
}

class SimStream final : public Stream {
 public:
  SimStream(Fabric& fabric, std::shared_ptr<Wire> wire, std::size_t end)
      : fabric_(fabric), wire_(std::move(wire)), end_(end) {}
  ~SimStream() override { SimStream::close(); }
  SimStream(const SimStream&) = delete;
  SimStream& operator=(const SimStream&) = delete;

  Task<Result<std::size_t>> read_some(MutableByteView into) override {
    return read_from(fabric_, wire_, end_, into);
  }
  Task<Result<void>> write_all(ByteView bytes) override {
    return write_to(fabric_, wire_, end_, bytes);
  }
  void close() override {
    if (std::exchange(own().closed, true)) return;
    own().changed.notify_all();
    if (own().broken || !own().epoch->alive) return;
    if (own().writing) {
      fabric_.send_reset(wire_, end_);
    } else {
      fabric_.send(wire_, end_, std::nullopt);
    }
  }
  const PeerIdentity& peer() const override { return wire_->ends[end_].peer; }

 private:
  End& own() { return wire_->ends[end_]; }

  Fabric& fabric_;
  std::shared_ptr<Wire> wire_;
  std::size_t end_;
};

}  // namespace

std::unique_ptr<Stream> make_stream(Fabric& fabric, std::shared_ptr<Wire> wire, std::size_t end) {
  return std::make_unique<SimStream>(fabric, std::move(wire), end);
}

}  // namespace skein::sim
