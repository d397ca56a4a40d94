// MemoryNetwork: streams inside one process, bounded like a socket's buffers, that a test can slow
// down, watch and cut. State, no scripts. Loop thread only.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <memory>

#include "common/env/network.h"

namespace skein::test {

// One direction of a stream.
struct Pipe {
  explicit Pipe(Executor executor) : changed(std::move(executor)) {}
  std::deque<std::byte> bytes;
  std::size_t capacity = 64 << 10;
  bool closed = false;  // no more will be written
  bool cut = false;     // broken: both ends fail
  bool frozen = false;  // nothing is delivered
  std::uint64_t carried = 0;
  Signal changed;
  void wake() { changed.notify_all(); }
};

class MemoryStream final : public Stream {
 public:
  MemoryStream(std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out, PeerIdentity peer)
      : in_(std::move(in)), out_(std::move(out)), peer_(std::move(peer)) {}
  ~MemoryStream() override { close(); }

  Task<Result<std::size_t>> read_some(MutableByteView into) override {
    return read_from(in_, closed_, into);
  }
  Task<Result<void>> write_all(ByteView bytes) override { return write_to(out_, closed_, bytes); }
  void close() override {
    if (*closed_) return;
    *closed_ = true;
    out_->closed = true;
    in_->cut = true;  // writes of the other side fail
    in_->wake();
    out_->wake();
  }
  const PeerIdentity& peer() const override { return peer_; }

 private:
  using Flag = std::shared_ptr<bool>;
  static Task<Result<std::size_t>> read_from(std::shared_ptr<Pipe> pipe, Flag closed,
                                             MutableByteView into) {
    while (!*closed && !pipe->cut && (pipe->frozen || (pipe->bytes.empty() && !pipe->closed))) {
      co_await pipe->changed.wait();
    }
    if (*closed) co_return fail(Errc::kCancelled, "the stream was closed");
    if (pipe->cut) co_return fail(Errc::kUnavailable, "the stream broke");
    const std::size_t count = std::min(into.size(), pipe->bytes.size());
    std::copy_n(pipe->bytes.begin(), count, into.begin());
    pipe->bytes.erase(pipe->bytes.begin(), pipe->bytes.begin() + std::ptrdiff_t(count));
    pipe->wake();
    co_return count;
  }
  static Task<Result<void>> write_to(std::shared_ptr<Pipe> pipe, Flag closed, ByteView bytes) {
    while (!bytes.empty()) {
      while (!*closed && !pipe->cut && pipe->bytes.size() >= pipe->capacity) {
        co_await pipe->changed.wait();
      }
      if (*closed) co_return fail(Errc::kCancelled, "the stream was closed");
      if (pipe->cut) co_return fail(Errc::kUnavailable, "the stream broke");
      const std::size_t count = std::min(bytes.size(), pipe->capacity - pipe->bytes.size());
      pipe->bytes.insert(pipe->bytes.end(), bytes.begin(), bytes.begin() + std::ptrdiff_t(count));
      pipe->carried += count;
      bytes = bytes.subspan(count);
      pipe->wake();
    }
    co_return Result<void>{};
  }

  std::shared_ptr<Pipe> in_;
  std::shared_ptr<Pipe> out_;
  PeerIdentity peer_;
  Flag closed_ = std::make_shared<bool>(false);
};

struct StreamPair {
  std::unique_ptr<Stream> left, right;
  std::shared_ptr<Pipe> to_right, to_left;
  void cut() {
    for (const auto& pipe : {to_right, to_left}) {
      pipe->cut = true;
      pipe->wake();
    }
  }
};

inline StreamPair make_stream_pair(Executor executor, PeerIdentity left = {"left", "left", 1, {}},
                                   PeerIdentity right = {"right", "right", 2, {}}) {
  StreamPair pair;
  pair.to_right = std::make_shared<Pipe>(executor);
  pair.to_left = std::make_shared<Pipe>(executor);
  pair.left = std::make_unique<MemoryStream>(pair.to_left, pair.to_right, std::move(right));
  pair.right = std::make_unique<MemoryStream>(pair.to_right, pair.to_left, std::move(left));
  return pair;
}

class MemoryNetwork final : public Network {
 public:
  explicit MemoryNetwork(Executor executor) : executor_(std::move(executor)) {}

  Task<Result<std::unique_ptr<Stream>>> connect(Endpoint to,
                                                std::shared_ptr<const TlsOptions>) override {
    const auto found = queues_.find(to.port);
    if (found == queues_.end()) {
      co_return fail(Errc::kUnavailable, "nobody listens", to_string(to));
    }
    StreamPair pair = make_stream_pair(executor_);
    found->second->waiting.push_back(std::move(pair.right));
    found->second->changed.notify_all();
    co_return std::move(pair.left);
  }
  Result<std::unique_ptr<Listener>> listen(Endpoint at,
                                           std::shared_ptr<const TlsOptions>) override {
    if (at.port == 0) at.port = next_port_++;
    auto queue = std::make_shared<Queue>(executor_);
    if (!queues_.emplace(at.port, queue).second) {
      return fail(Errc::kUnavailable, "the address is taken", to_string(at));
    }
    return std::make_unique<MemoryListener>(*this, at, queue);
  }

 private:
  struct Queue {
    explicit Queue(Executor executor) : changed(std::move(executor)) {}
    std::deque<std::unique_ptr<Stream>> waiting;
    bool closed = false;
    Signal changed;
  };
  class MemoryListener final : public Listener {
   public:
    MemoryListener(MemoryNetwork& network, Endpoint at, std::shared_ptr<Queue> queue)
        : network_(network), at_(std::move(at)), queue_(std::move(queue)) {}
    ~MemoryListener() override { close(); }
    Task<Result<std::unique_ptr<Stream>>> accept() override { return next_of(queue_); }
    Endpoint local() const override { return at_; }
    void close() override {
      queue_->closed = true;
      queue_->changed.notify_all();
      const auto found = network_.queues_.find(at_.port);
      if (found != network_.queues_.end() && found->second == queue_) network_.queues_.erase(found);
    }

   private:
    static Task<Result<std::unique_ptr<Stream>>> next_of(std::shared_ptr<Queue> queue) {
      while (!queue->closed && queue->waiting.empty()) co_await queue->changed.wait();
      if (queue->closed) co_return fail(Errc::kCancelled, "the listener was closed");
      auto stream = std::move(queue->waiting.front());
      queue->waiting.pop_front();
      co_return std::move(stream);
    }
    MemoryNetwork& network_;
    Endpoint at_;
    std::shared_ptr<Queue> queue_;
  };

  Executor executor_;
  std::map<std::uint16_t, std::shared_ptr<Queue>> queues_;
  std::uint16_t next_port_ = 4000;
};

}  // namespace skein::test
