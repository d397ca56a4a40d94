// HttpServer::Core: what the server is inside. Shared with the tasks of its connections. Loop
// thread only. server.cpp accepts, drains and stops; exchange.cpp reads requests and writes
// answers.
#pragma once

#include <map>
#include <memory>

#include "common/http/http.h"
#include "common/http/internal/connection.h"

namespace skein {

class HttpServer::Core {
 public:
  using Self = std::shared_ptr<Core>;
  using ConnectionPtr = std::shared_ptr<http::Connection>;
  Core(Env env, std::unique_ptr<Listener> listener, HttpHandler handler, HttpServerOptions options);

  static Task<void> run(Self self);
  static Task<void> drain(Self self, Instant deadline);
  static Task<void> stop(Self self);
  void close();  // no more connections; what runs is asked to unwind
  Endpoint local() const { return listener_->local(); }
  std::size_t in_flight() const { return in_flight_; }

 private:
  class Responder;
  struct Head;  // of a request
  static Task<void> accept_all(Self self);
  static Task<void> serve(Self self, std::uint64_t number, ConnectionPtr connection);
  static Task<bool> serve_request(Self self, ConnectionPtr connection);  // false: the last one
  static Task<Result<HttpRequest>> read_request(Self self, ConnectionPtr connection, Head& head);
  static Task<Result<void>> await_request(Self self, ConnectionPtr connection);
  static Task<void> refuse(Self self, ConnectionPtr connection, int status, std::string why);
  static Task<Result<void>> discard(ConnectionPtr connection);
  static Task<Result<void>> all_ended(Self self);

  Env env_;
  std::unique_ptr<Listener> listener_;
  HttpHandler handler_;
  HttpServerOptions options_;
  bool draining_ = false;
  std::size_t in_flight_ = 0;
  std::uint64_t accepted_ = 0;
  std::map<std::uint64_t, ConnectionPtr> connections_;
  TaskGroup tasks_;
};

}  // namespace skein
