// Server and client over real sockets.
#include <gtest/gtest.h>

#include "common/env/real/real_env.h"
#include "common/http/http.h"

namespace skein {
namespace {

Task<void> count_to_five(HttpRequest request, HttpResponder& responder) {
  auto sent = co_await responder.begin(200, {});
  for (int i = 0; i < 5 && sent; ++i) {
    const std::string text = request.body + std::to_string(i);
    sent = co_await responder.write(text);
  }
}

TEST(HttpOverSockets, StreamsToTheClient) {
  RealEnv real{{.compute_threads = 1, .log_level = LogLevel::kError}};
  const Env env = real.env();
  auto listener = env.network.listen({"127.0.0.1", 0}, nullptr);
  ASSERT_TRUE(listener);
  HttpServer server(env, std::move(*listener), count_to_five, {});
  TaskGroup tasks(env.executor);
  tasks.spawn(server.run());

  std::string got;
  HttpRequest request{"POST", "/", {}, {}, "n"};
  HttpCall call{server.local(), nullptr, std::move(request), [&](std::string_view chunk) {
                  got += chunk;
                  return true;
                }};
  const Instant deadline = env.clock.now() + std::chrono::seconds(10);
  const auto response = real.run(http_call(env, std::move(call), deadline));
  ASSERT_TRUE(response) << to_string(response.error());
  EXPECT_EQ(got, "n0n1n2n3n4");
  real.run(server.drain(deadline));
  EXPECT_EQ(tasks.running(), 0U);
}

}  // namespace
}  // namespace skein
