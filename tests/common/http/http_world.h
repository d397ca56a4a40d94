// An HttpServer in a LinkWorld, a handler with a few routes, and a client that writes raw bytes.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "common/http/http.h"
#include "tests/support/link_world.h"

namespace skein::test {

// GET|POST /echo: the body, and what was asked in headers. /slow: answers after 5 s. /stream: one
// event per second, ten of them. /flood: writes until the client is gone. /silent: no answer.
struct HttpWorld {
  explicit HttpWorld(HttpServerOptions options = {}) {
    auto listener = world.network.listen({"127.0.0.1", 80}, nullptr);
    EXPECT_TRUE(listener);
    HttpHandler handler = [this](HttpRequest request, HttpResponder& responder) {
      return answer(*this, std::move(request), responder);
    };
    server = std::make_unique<HttpServer>(world.env(), std::move(*listener), std::move(handler),
                                          options);
    world.spawn(run_server(*this));
  }
  ~HttpWorld() { world.run(server->stop()); }

  static Task<void> run_server(HttpWorld& self) {
    co_await self.server->run();
    self.ended = true;
  }

  static Task<void> answer(HttpWorld& self, HttpRequest request, HttpResponder& responder) {
    if (request.path == "/echo") {
      std::string seen = request.method;
      for (const auto& [name, value] : request.query) seen += " " + name + "=" + value;
      HttpResponse response{200, {{"X-Seen", seen}}, request.body};
      self.sent = co_await responder.respond(std::move(response));
    } else if (request.path == "/slow") {
      co_await self.world.clock.sleep_for(std::chrono::seconds(5));
      HttpResponse response{200, {}, "late"};
      self.sent = co_await responder.respond(std::move(response));
    } else if (request.path == "/stream" || request.path == "/flood") {
      co_await stream(self, request.path == "/flood", responder);
    } else if (request.path != "/silent") {
      self.sent = co_await responder.respond(error_response(404, "no such path", "not_found"));
    }
  }

  static Task<void> stream(HttpWorld& self, bool flood, HttpResponder& responder) {
    Task<Result<void>> begun = responder.begin(200, {{"Content-Type", "text/event-stream"}});
    self.sent = co_await std::move(begun);
    const std::string large(8000, 'x');
    for (int event = 0; self.sent && (flood || event < 10); ++event) {
      const std::string text = "data: " + (flood ? large : std::to_string(event)) + "\n\n";
      self.sent = co_await responder.write(text);
      ++self.events;
      if (!flood) co_await self.world.clock.sleep_for(std::chrono::seconds(1));
    }
    self.saw_gone = responder.client_gone();
  }

  // One connection: writes `text`, then reads for `listen` of virtual time.
  std::string raw(std::string text, Duration listen = std::chrono::seconds(30)) {
    std::string got;
    world.run(talk(*this, std::move(text), listen, got));
    return got;
  }
  static Task<void> talk(HttpWorld& self, std::string text, Duration listen, std::string& got) {
    auto stream = co_await self.world.network.connect({"127.0.0.1", 80}, nullptr);
    const auto written = co_await (*stream)->write_all(as_bytes(text));
    if (!written) co_return;
    Task<Result<void>> reading = read_all(**stream, got);
    const auto all = co_await with_deadline(self.world.clock, self.world.clock.now() + listen,
                                            "listening", std::move(reading));
    self.closed_by_server = all.has_value();
  }
  static Task<Result<void>> read_all(Stream& stream, std::string& got) {
    Buffer buffer(4096);
    while (true) {
      auto count = co_await stream.read_some(buffer);
      if (!count || *count == 0) co_return Result<void>{};
      got += as_text(ByteView(buffer).first(*count));
    }
  }

  Result<HttpResponse> call(HttpRequest request,
                            std::function<bool(std::string_view)> on_chunk = {},
                            Duration limit = std::chrono::seconds(60)) {
    HttpCall asked{{"127.0.0.1", 80}, nullptr, std::move(request), std::move(on_chunk)};
    std::optional<Result<HttpResponse>> outcome;
    world.run(keep_response(http_call(world.env(), std::move(asked), world.clock.now() + limit),
                            outcome));
    return std::move(*outcome);
  }
  static Task<void> keep_response(Task<Result<HttpResponse>> call,
                                  std::optional<Result<HttpResponse>>& out) {
    out = co_await std::move(call);
  }

  LinkWorld world;
  std::unique_ptr<HttpServer> server;
  Result<void> sent;
  int events = 0;
  bool saw_gone = false;
  bool closed_by_server = false;
  bool ended = false;
};

inline HttpRequest get(std::string path) { return HttpRequest{"GET", std::move(path), {}, {}, {}}; }

}  // namespace skein::test
