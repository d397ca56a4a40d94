// Connection: one stream with a reader that never stops listening, so that the far side's end is
// noticed while an answer is written. What it reads waits in a bounded buffer for the parser.
// Shared by its user and its reader task. Loop thread only.
#pragma once

#include <memory>

#include "common/env/env.h"
#include "common/env/network.h"

namespace skein::http {

inline constexpr std::size_t kMaxUnparsedBytes = 64 << 10;

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Env env, std::unique_ptr<Stream> stream);

  void start();       // begins to read
  void close();       // reader and writes end soon
  void interrupt();   // wakes who waits in wait_beyond()
  Task<void> stop();  // close, and wait for the reader

  ByteView unparsed() const { return ByteView(bytes_).subspan(begin_); }
  void consume(std::size_t count);
  // The far side sends no more (an orderly end or a broken link).
  bool ended() const { return ended_; }
  bool full() const { return unparsed().size() >= kMaxUnparsedBytes; }
  // Returns when more than `have` bytes wait, at the end, when full, or when interrupted.
  static Task<Result<void>> wait_beyond(std::shared_ptr<Connection> self, std::size_t have);

  Task<Result<void>> write(std::string_view text, Duration limit);
  Env& env() { return env_; }

 private:
  static Task<void> read(std::shared_ptr<Connection> self);

  Env env_;
  std::unique_ptr<Stream> stream_;
  Buffer bytes_;
  std::size_t begin_ = 0;
  bool ended_ = false;
  bool interrupted_ = false;
  Signal changed_;
  TaskGroup reader_;
};

}  // namespace skein::http
