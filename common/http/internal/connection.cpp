#include "common/http/internal/connection.h"

#include <algorithm>

#include "common/base/check.h"

namespace skein::http {

namespace {
constexpr std::size_t kReadBytes = 16 << 10;
}

Connection::Connection(Env env, std::unique_ptr<Stream> stream)
    : env_(env), stream_(std::move(stream)), changed_(env.executor), reader_(env.executor) {}

void Connection::start() { reader_.spawn(read(shared_from_this())); }

void Connection::close() {
  stream_->close();
  changed_.notify_all();
}

void Connection::interrupt() {
  interrupted_ = true;
  changed_.notify_all();
}

Task<void> Connection::stop() {
  close();
  co_await reader_.stop();
}

void Connection::consume(std::size_t count) {
  CHECK(count <= unparsed().size());
  begin_ += count;
  if (begin_ == bytes_.size()) {
    bytes_.clear();
    begin_ = 0;
  }
  changed_.notify_all();
}

Task<Result<void>> Connection::wait_beyond(std::shared_ptr<Connection> self, std::size_t have) {
  while (self->unparsed().size() <= have && !self->ended_ && !self->full()) {
    if (std::exchange(self->interrupted_, false)) break;
    co_await self->changed_.wait();
  }
  co_return Result<void>{};
}

Task<Result<void>> Connection::write(std::string_view text, Duration limit) {
  Task<Result<void>> write = stream_->write_all(as_bytes(text));
  const Instant deadline = env_.clock.now() + limit;
  co_return co_await with_deadline(env_.clock, deadline, "writing an answer", std::move(write));
}

Task<void> Connection::read(std::shared_ptr<Connection> self) {
  Buffer chunk(kReadBytes);
  while (!self->ended_) {
    while (self->full()) co_await self->changed_.wait();
    const auto count = co_await self->stream_->read_some(chunk);
    if (!count || *count == 0) {
      self->ended_ = true;
    } else {
      const auto parsed = std::ptrdiff_t(std::exchange(self->begin_, 0));
      self->bytes_.erase(self->bytes_.begin(), self->bytes_.begin() + parsed);
      append(self->bytes_, ByteView(chunk).first(*count));
    }
    self->changed_.notify_all();
  }
}

}  // namespace skein::http
