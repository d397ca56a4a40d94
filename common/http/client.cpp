#include "common/http/internal/message_reader.h"

namespace skein {

namespace {

using http::Connection;

std::string request_text(const HttpCall& call) {
  const HttpRequest& request = call.request;
  std::string text = request.method + ' ' + http::format_target(request) + " HTTP/1.1\r\n";
  if (request.header("host").empty()) http::append_header(text, "Host", to_string(call.to));
  for (const auto& [name, value] : request.headers) http::append_header(text, name, value);
  http::append_header(text, "Connection", "close");
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT") {
    http::append_header(text, "Content-Length", std::to_string(request.body.size()));
  }
  return text + "\r\n" + request.body;
}

Task<Result<HttpResponse>> read_response(std::shared_ptr<Connection> connection, HttpCall call) {
  http::MessageReader<false> reader(connection, call.body_limit);
  if (call.request.method == "HEAD") reader.parser().skip(true);
  CO_TRY_VOID(co_await reader.read_head());
  HttpResponse response;
  response.status = static_cast<int>(reader.parser().get().result_int());
  for (auto& [name, value] : http::headers_of(reader.parser().get())) {
    response.headers.emplace_back(name, std::move(value));
  }
  const std::function<bool(std::string_view)> take = [&](std::string_view piece) {
    if (call.on_chunk) return call.on_chunk(piece);
    response.body += piece;
    return true;
  };
  CO_TRY_VOID(co_await reader.read_body(take));
  co_return response;
}

Task<Result<HttpResponse>> exchange(Env env, HttpCall call, Duration write_limit) {
  CO_TRY(auto stream, co_await env.network.connect(call.to, call.tls));
  const auto connection = std::make_shared<Connection>(env, std::move(stream));
  struct Close {  // also when the deadline cancels this
    Connection& connection;
    ~Close() { connection.close(); }
  };
  const Close close{*connection};
  connection->start();
  const std::string text = request_text(call);
  const auto written = co_await connection->write(text, write_limit);
  // A server may refuse before it has read everything: its answer says more than the broken write.
  if (!written && connection->unparsed().empty()) co_return tl::unexpected(written.error());
  Task<Result<HttpResponse>> reading = read_response(connection, std::move(call));
  co_return co_await std::move(reading);
}

}  // namespace

Task<Result<HttpResponse>> http_call(Env env, HttpCall call, Instant deadline) {
  std::string what = call.request.method + " " + call.request.path + " at " + to_string(call.to);
  Task<Result<HttpResponse>> work =
      exchange(env, std::move(call), std::max(Duration(0), deadline - env.clock.now()));
  co_return co_await with_deadline(env.clock, deadline, std::move(what), std::move(work));
}

}  // namespace skein
