// One connection's life: a request, its answer, and again while both sides want to go on.
#include <charconv>

#include "common/http/internal/message_reader.h"
#include "common/http/internal/server_core.h"

namespace skein {

namespace {
// Closing with bytes unread would reset the stream and lose the refusal on its way.
constexpr Duration kLinger = std::chrono::seconds(1);
}  // namespace

namespace beast = http::beast;
using http::Connection;
using http::Headers;

struct HttpServer::Core::Head {
  bool keep_alive = false;
  bool http_10 = false;
  int refusal = 400;  // the status when reading failed
};

class HttpServer::Core::Responder final : public HttpResponder {
 public:
  Responder(Self core, ConnectionPtr connection, const Head& head, bool only_head)
      : core_(std::move(core)),
        connection_(std::move(connection)),
        http_10_(head.http_10),
        only_head_(only_head),
        keep_alive_(head.keep_alive) {}

  Task<Result<void>> respond(HttpResponse response) override { return answer(std::move(response)); }

  Task<Result<void>> begin(int status, Headers headers) override {
    if (state_ != State::kSilent) co_return fail(Errc::kConflict, "the answer has begun");
    state_ = State::kStreaming;
    if (http_10_) keep_alive_ = false;  // its end is the end of the stream
    std::string head = http::response_head(status, headers);
    if (!http_10_) http::append_header(head, "Transfer-Encoding", "chunked");
    end_head(head);
    co_return co_await send(std::move(head));
  }

  Task<Result<void>> write(std::string_view chunk) override {
    if (state_ != State::kStreaming) co_return fail(Errc::kConflict, "no streamed answer began");
    if (client_gone()) co_return fail(Errc::kUnavailable, "the client went away");
    if (chunk.empty() || only_head_) co_return Result<void>{};
    std::string text;
    if (!http_10_) text = chunk_size(chunk.size());
    text += chunk;
    if (!http_10_) text += "\r\n";
    co_return co_await send(std::move(text));
  }

  bool client_gone() const override {
    return broken_ || (state_ == State::kStreaming && connection_->ended());
  }

  // After the handler. True when the connection can carry another request.
  Task<bool> finish() {
    if (state_ == State::kSilent) {
      Task<Result<void>> sent =
          answer(error_response(500, "the request was not answered", "internal"));
      co_await std::move(sent);
    } else if (state_ == State::kStreaming && !http_10_ && !only_head_ && !client_gone()) {
      Task<Result<void>> sent = send("0\r\n\r\n");
      co_await std::move(sent);
    }
    co_return !broken_ && keep_alive_ && !core_->draining_;
  }

 private:
  enum class State : unsigned char { kSilent, kStreaming, kDone };

  Task<Result<void>> answer(HttpResponse response) {
    if (state_ != State::kSilent) co_return fail(Errc::kConflict, "the answer has begun");
    state_ = State::kDone;
    std::string text = http::response_head(response.status, response.headers);
    const bool bodiless = response.status == 204 || response.status == 304;
    if (!bodiless) {
      http::append_header(text, "Content-Length", std::to_string(response.body.size()));
    }
    end_head(text);
    if (!only_head_ && !bodiless) text += response.body;
    co_return co_await send(std::move(text));
  }

  void end_head(std::string& head) {
    keep_alive_ = keep_alive_ && !core_->draining_;
    if (!keep_alive_) http::append_header(head, "Connection", "close");
    if (keep_alive_ && http_10_) http::append_header(head, "Connection", "keep-alive");
    head += "\r\n";
  }

  Task<Result<void>> send(std::string text) {
    if (broken_) co_return fail(Errc::kUnavailable, "the client went away");
    auto written = co_await connection_->write(text, core_->options_.write_limit);
    if (written) co_return Result<void>{};
    broken_ = true;
    co_return fail(Errc::kUnavailable, "the client went away: " + written.error().what);
  }

  static std::string chunk_size(std::size_t size) {
    char digits[24];
    char* end = std::to_chars(digits, digits + sizeof digits, size, 16).ptr;
    return std::string(digits, end) + "\r\n";
  }

  Self core_;
  ConnectionPtr connection_;
  State state_ = State::kSilent;
  bool http_10_;
  bool only_head_;
  bool keep_alive_;
  bool broken_ = false;
};

Task<void> HttpServer::Core::serve(Self self, std::uint64_t number, ConnectionPtr connection) {
  struct Leave {  // also when this task is cancelled
    Self core;
    std::uint64_t number;
    ConnectionPtr connection;
    ~Leave() {
      connection->close();
      core->connections_.erase(number);
    }
  };
  const Leave leave{self, number, connection};
  connection->start();
  bool again = true;
  while (again) {
    Task<bool> served = serve_request(self, connection);
    again = co_await std::move(served);
  }
  co_await connection->stop();
}

Task<Result<void>> HttpServer::Core::await_request(Self self, ConnectionPtr connection) {
  if (self->draining_) co_return fail(Errc::kCancelled, "draining");
  CO_TRY_VOID(co_await Connection::wait_beyond(connection, 0));
  if (connection->unparsed().empty()) co_return fail(Errc::kUnavailable, "nothing more comes");
  co_return Result<void>{};
}

Task<bool> HttpServer::Core::serve_request(Self self, ConnectionPtr connection) {
  Clock& clock = self->env_.clock;
  Task<Result<void>> first = await_request(self, connection);
  const auto begun = co_await with_deadline(clock, clock.now() + self->options_.idle_limit,
                                            "a request", std::move(first));
  if (!begun) co_return false;

  Head head;
  Task<Result<HttpRequest>> reading = read_request(self, connection, head);
  auto request = co_await with_deadline(clock, clock.now() + self->options_.header_limit,
                                        "a request", std::move(reading));
  if (!request) {
    const bool late = request.error().code == Errc::kDeadline;
    if (request.error().code == Errc::kUnavailable) co_return false;
    Task<void> refused =
        refuse(self, connection, late ? 408 : head.refusal, to_string(request.error()));
    co_await std::move(refused);
    co_return false;
  }

  struct Counted {
    Core& core;
    explicit Counted(Core& owner) : core(owner) { ++core.in_flight_; }
    ~Counted() { --core.in_flight_; }
  };
  const Counted counted(*self);
  Responder responder(self, connection, head, request->method == "HEAD");
  Task<void> handled = self->handler_(std::move(*request), responder);
  co_await std::move(handled);
  co_return co_await responder.finish();
}

Task<void> HttpServer::Core::refuse(Self self, ConnectionPtr connection, int status,
                                    std::string why) {
  Head head;
  Responder responder(self, connection, head, false);
  Task<Result<void>> sent = responder.respond(error_response(status, why, "invalid_request_error"));
  if (!co_await std::move(sent)) co_return;
  Clock& clock = self->env_.clock;
  Task<Result<void>> rest = discard(connection);
  const auto all =
      co_await with_deadline(clock, clock.now() + kLinger, "the rest", std::move(rest));
  if (!all) self->env_.log.debug("request cut off", {{"status", status}});
}

Task<Result<void>> HttpServer::Core::discard(ConnectionPtr connection) {
  while (!connection->ended()) {
    connection->consume(connection->unparsed().size());
    CO_TRY_VOID(co_await Connection::wait_beyond(connection, 0));
  }
  co_return Result<void>{};
}

namespace {

int status_for(const boost::system::error_code& reason) {
  if (reason == beast::error::header_limit) return 431;
  if (reason == beast::error::body_limit) return 413;
  if (reason == beast::error::bad_version) return 505;
  return 400;
}

}  // namespace

Task<Result<HttpRequest>> HttpServer::Core::read_request(Self self, ConnectionPtr connection,
                                                         Head& head) {
  const HttpServerOptions& options = self->options_;
  http::MessageReader<true> reader(connection,
                                   options.body_limit_of ? kMaxHttpBodyBytes : options.body_limit);
  auto read = co_await reader.read_head();
  if (!read) {
    head.refusal = status_for(reader.reason());
    co_return tl::unexpected(read.error());
  }
  const auto& message = reader.parser().get();
  head.http_10 = message.version() < 11;
  HttpRequest request;
  request.method = std::string(message.method_string());
  request.headers = http::headers_of(message);
  auto target =
      http::parse_target(std::string_view(message.target().data(), message.target().size()));
  if (!target) co_return fail(Errc::kUsage, "the request's target is malformed");
  if (!head.http_10 && request.header("host").empty()) {
    co_return fail(Errc::kUsage, "a request needs a Host header");
  }
  request.path = std::move(target->path);
  request.query = std::move(target->query);
  if (options.body_limit_of && !reader.limit_body(options.body_limit_of(request.path))) {
    head.refusal = status_for(reader.reason());
    co_return fail(Errc::kCorrupt, "the request's body is too long");
  }
  if (http::lower_case(request.header("expect")) == "100-continue" && !reader.body_has_begun()) {
    CO_TRY_VOID(
        co_await connection->write("HTTP/1.1 100 Continue\r\n\r\n", self->options_.write_limit));
  }
  auto body = co_await reader.read_body([&](std::string_view piece) {
    request.body += piece;
    return true;
  });
  if (!body) {
    head.refusal = status_for(reader.reason());
    co_return tl::unexpected(body.error());
  }
  head.keep_alive = reader.parser().keep_alive();
  co_return request;
}

}  // namespace skein
