// HTTP/1.1 over Network streams: a small server and client, bounded on every side. Messages are
// plain structs; parsing is Boost.Beast's, inside. Loop thread only. Works over real and simulated
// networks.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/env/env.h"
#include "common/env/network.h"

namespace skein {

inline constexpr std::size_t kMaxHttpHeaderBytes = 16 * 1024;
inline constexpr std::size_t kMaxHttpBodyBytes = 64U << 20;  // options may ask for less
inline constexpr std::size_t kMaxHttpConnections = 256;

struct HttpRequest {
  std::string method;                          // upper case
  std::string path;                            // decoded, without the query
  std::map<std::string, std::string> query;    // decoded
  std::map<std::string, std::string> headers;  // lower-case names
  std::string body;
  std::string header(const std::string& name) const;  // "" when absent
};

struct HttpResponse {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};
HttpResponse json_response(int status, std::string json_text);
// {"error":{"message","type","code"}} as OpenAI clients expect it.
HttpResponse error_response(int status, std::string_view message, std::string_view type);
int http_status(Errc code);

// How a handler answers: once with respond(), or begin() then any number of write()s then return
// (chunked transfer). A write to a client that went away is Errc::kUnavailable: stop producing.
class HttpResponder {
 public:
  virtual ~HttpResponder() = default;
  virtual Task<Result<void>> respond(HttpResponse response) = 0;
  virtual Task<Result<void>> begin(int status,
                                   std::vector<std::pair<std::string, std::string>> headers) = 0;
  virtual Task<Result<void>> write(std::string_view chunk) = 0;
  // True once the client has closed its side while a streamed answer is under way.
  virtual bool client_gone() const = 0;
};
using HttpHandler = std::function<Task<void>(HttpRequest request, HttpResponder& responder)>;

struct HttpServerOptions {
  std::size_t body_limit = 8U << 20;
  // When set, the limit of a path's bodies, in place of body_limit.
  std::function<std::size_t(std::string_view path)> body_limit_of = {};
  Duration header_limit = std::chrono::seconds(10);  // a request's head and body must arrive within
  Duration idle_limit = std::chrono::seconds(75);    // keep-alive between requests
  Duration write_limit = std::chrono::seconds(30);
};

class HttpServer {
 public:
  HttpServer(Env env, std::unique_ptr<Listener> listener, HttpHandler handler,
             HttpServerOptions options);
  ~HttpServer();
  Task<void> run();                    // accepts until stop
  Task<void> drain(Instant deadline);  // no new connections or requests; waits for running answers
  Task<void> stop();                   // now
  Endpoint local() const;
  std::size_t in_flight() const;

 private:
  class Core;
  std::shared_ptr<Core> core_;
};

// One request on a new connection. `on_chunk` (may be empty) gets the body as it arrives and may
// return false to stop; otherwise the body is in the response.
struct HttpCall {
  Endpoint to;
  std::shared_ptr<const TlsOptions> tls;
  HttpRequest request;
  std::function<bool(std::string_view)> on_chunk;
  std::size_t body_limit = 64U << 20;
};
Task<Result<HttpResponse>> http_call(Env env, HttpCall call, Instant deadline);

}  // namespace skein
