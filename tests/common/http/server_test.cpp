// The server against clients that behave.
#include <gtest/gtest.h>

#include "tests/common/http/http_world.h"

namespace skein {
namespace {

using namespace test::durations;
using test::HttpWorld;

TEST(HttpServer, AnswersWithLengthAndKeepsTheConnection) {
  HttpWorld http;
  const std::string got = http.raw(
      "POST /echo?a=1%2B1&b=x+y HTTP/1.1\r\nHost: e\r\nContent-Length: 5\r\n\r\nhello", 5s);
  EXPECT_EQ(got, "HTTP/1.1 200 OK\r\nX-Seen: POST a=1+1 b=x y\r\nContent-Length: 5\r\n\r\nhello");
  EXPECT_FALSE(http.closed_by_server);
}

TEST(HttpServer, AnswersPipelinedRequestsInOrder) {
  HttpWorld http;
  std::string text;
  for (const char* name : {"slow", "echo?n=1", "nothing", "echo?n=2"}) {
    text += std::string("GET /") + name + " HTTP/1.1\r\nHost: e\r\n\r\n";
  }
  const std::string got = http.raw(text, 10s);
  const std::size_t late = got.find("late");
  const std::size_t first = got.find("X-Seen: GET n=1");
  const std::size_t missing = got.find("404 Not Found");
  const std::size_t second = got.find("X-Seen: GET n=2");
  ASSERT_NE(second, std::string::npos) << got;
  EXPECT_LT(late, first);
  EXPECT_LT(first, missing);
  EXPECT_LT(missing, second);
}

TEST(HttpServer, ClosesWhenAsked) {
  HttpWorld http;
  const std::string got = http.raw("GET /echo HTTP/1.1\r\nHost: e\r\nConnection: close\r\n\r\n");
  EXPECT_NE(got.find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(http.closed_by_server);
}

TEST(HttpServer, AHeadRequestGetsNoBody) {
  HttpWorld http;
  const std::string got = http.raw("HEAD /nothing HTTP/1.1\r\nHost: e\r\n\r\n", 2s);
  EXPECT_TRUE(got.starts_with("HTTP/1.1 404 Not Found\r\n"));
  EXPECT_TRUE(got.ends_with("\r\n\r\n")) << got;
  EXPECT_EQ(got.find("Content-Length: 0"), std::string::npos);
}

TEST(HttpServer, TakesAChunkedBody) {
  HttpWorld http;
  const std::string got = http.raw(
      "POST /echo HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n",
      2s);
  EXPECT_TRUE(got.ends_with("\r\n\r\nabcdefg")) << got;
}

TEST(HttpServer, SaysContinueToAClientThatWaitsForIt) {
  HttpWorld http;
  const std::string got = http.raw(
      "POST /echo HTTP/1.1\r\nHost: e\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n", 2s);
  EXPECT_EQ(got, "HTTP/1.1 100 Continue\r\n\r\n");
}

TEST(HttpServer, StreamsEventsAsChunks) {
  HttpWorld http;
  const std::string got = http.raw("GET /stream HTTP/1.1\r\nHost: e\r\n\r\n", 3500ms);
  EXPECT_NE(got.find("Transfer-Encoding: chunked\r\n"), std::string::npos);
  EXPECT_TRUE(
      got.ends_with("\r\n\r\n9\r\ndata: 0\n\n\r\n9\r\ndata: 1\n\n\r\n"
                    "9\r\ndata: 2\n\n\r\n9\r\ndata: 3\n\n\r\n"))
      << got;
}

TEST(HttpServer, AStreamForAnOldClientEndsWithTheConnection) {
  HttpWorld http;
  const std::string got = http.raw("GET /stream HTTP/1.0\r\n\r\n");
  EXPECT_EQ(got.find("chunked"), std::string::npos);
  EXPECT_TRUE(got.ends_with("data: 9\n\n")) << got;
  EXPECT_TRUE(http.closed_by_server);
}

TEST(HttpServer, NoticesAClientThatLeavesMidStream) {
  HttpWorld http;
  http.raw("GET /stream HTTP/1.1\r\nHost: e\r\n\r\n", 2500ms);  // then the stream is dropped
  http.world.run(http.world.clock.sleep_for(20s));
  EXPECT_EQ(http.events, 4);
  EXPECT_TRUE(http.saw_gone);
  ASSERT_FALSE(http.sent);
  EXPECT_EQ(http.sent.error().code, Errc::kUnavailable);
  EXPECT_EQ(http.server->in_flight(), 0U);
}

TEST(HttpServer, AnUnansweredRequestIsAnError) {
  HttpWorld http;
  const auto response = http.call(test::get("/silent"));
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 500);
}

TEST(HttpServer, DrainsBeforeItEnds) {
  HttpWorld http;
  std::string slow;
  http.world.spawn(HttpWorld::talk(http, "GET /slow HTTP/1.1\r\nHost: e\r\n\r\n", 60s, slow));
  std::string idle;
  http.world.spawn(HttpWorld::talk(http, "GET /echo HTTP/1.1\r\nHost: e\r\n\r\n", 60s, idle));
  http.world.run(http.world.clock.sleep_for(1s));
  EXPECT_EQ(http.server->in_flight(), 1U);

  const Instant before = http.world.clock.now();
  http.world.run(http.server->drain(before + 30s));
  EXPECT_EQ(http.world.clock.now() - before, 4s);
  http.world.settle();
  EXPECT_TRUE(slow.ends_with("Connection: close\r\n\r\nlate")) << slow;
  EXPECT_TRUE(http.ended);
  const auto refused = http.call(test::get("/echo"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUnavailable);
}

TEST(HttpServer, DrainingEndsAtItsDeadline) {
  HttpWorld http;
  std::string got;
  http.world.spawn(HttpWorld::talk(http, "GET /slow HTTP/1.1\r\nHost: e\r\n\r\n", 10h, got));
  http.world.run(http.world.clock.sleep_for(1s));
  const Instant before = http.world.clock.now();
  http.world.run(http.server->drain(before + 2s));
  EXPECT_EQ(http.world.clock.now() - before, 2s);
  EXPECT_EQ(http.server->in_flight(), 0U);
  EXPECT_EQ(got, "");
}

Task<void> cancel_run(HttpWorld& http) {
  auto listener = http.world.network.listen({"127.0.0.1", 81}, nullptr);
  const HttpHandler handler = [&http](HttpRequest request, HttpResponder& responder) {
    return HttpWorld::answer(http, std::move(request), responder);
  };
  HttpServer server(http.world.env(), std::move(*listener), handler, {});
  TaskGroup owner(http.world.env().executor);
  owner.spawn(server.run());
  auto stream = co_await http.world.network.connect({"127.0.0.1", 81}, nullptr);
  const std::string text = "GET /slow HTTP/1.1\r\nHost: e\r\n\r\n";
  const auto written = co_await (*stream)->write_all(as_bytes(text));
  EXPECT_TRUE(written);
  co_await http.world.clock.sleep_for(1s);
  EXPECT_EQ(server.in_flight(), 1U);
  co_await owner.stop();
  EXPECT_EQ(server.in_flight(), 0U);
}

TEST(HttpServer, ACancelledRunUnwindsItsConnections) {
  HttpWorld http;
  http.world.run(cancel_run(http));
}

TEST(HttpServer, ConnectionsBeyondTheLimitAreClosedAtOnce) {
  HttpWorld http;
  std::vector<std::string> idle(kMaxHttpConnections);
  for (std::string& got : idle) {
    http.world.spawn(HttpWorld::talk(http, "GET /slow HTTP/1.1\r\nHost: e\r\n\r\n", 60s, got));
  }
  http.world.run(http.world.clock.sleep_for(1s));
  EXPECT_EQ(http.server->in_flight(), kMaxHttpConnections);
  EXPECT_EQ(http.raw("GET /echo HTTP/1.1\r\nHost: e\r\n\r\n"), "");
}

}  // namespace
}  // namespace skein
