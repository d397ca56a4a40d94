#include <gtest/gtest.h>

#include "common/http/metrics.h"
#include "tests/common/http/http_world.h"

namespace skein {
namespace {

using namespace test::durations;
using test::get;
using test::HttpWorld;

TEST(HttpCall, SendsQueryHeadersAndBody) {
  HttpWorld http;
  HttpRequest request{"POST", "/echo", {{"a b", "c&d=é"}}, {{"x-extra", "1"}}, "the body"};
  const auto response = http.call(std::move(request));
  ASSERT_TRUE(response) << to_string(response.error());
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->body, "the body");
  const std::pair<std::string, std::string> seen{"x-seen", "POST a b=c&d=é"};
  EXPECT_NE(std::ranges::find(response->headers, seen), response->headers.end());
}

TEST(HttpCall, CarriesALargeBodyBothWays) {
  HttpWorld http;
  std::string body(5'000'000, 'b');
  body[1234567] = '!';
  const auto response = http.call(HttpRequest{"POST", "/echo", {}, {}, body});
  ASSERT_TRUE(response) << to_string(response.error());
  EXPECT_EQ(response->body, body);
}

TEST(HttpCall, GivesTheBodyAsItArrives) {
  HttpWorld http;
  std::vector<std::string> chunks;
  const auto response = http.call(get("/stream"), [&](std::string_view chunk) {
    chunks.emplace_back(chunk);
    return true;
  });
  ASSERT_TRUE(response) << to_string(response.error());
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(chunks.size(), 10U);
  EXPECT_EQ(chunks.back(), "data: 9\n\n");
  EXPECT_EQ(response->body, "");
}

TEST(HttpCall, StopsWhenTheCallerHasEnough) {
  HttpWorld http;
  int chunks = 0;
  const auto response = http.call(get("/stream"), [&](std::string_view) { return ++chunks < 3; });
  ASSERT_TRUE(response);
  http.world.run(http.world.clock.sleep_for(20s));
  EXPECT_EQ(chunks, 3);
  EXPECT_LE(http.events, 5);  // and the server noticed
}

TEST(HttpCall, AHeadAnswerHasNoBody) {
  HttpWorld http;
  const auto response = http.call(HttpRequest{"HEAD", "/nothing", {}, {}, {}});
  ASSERT_TRUE(response) << to_string(response.error());
  EXPECT_EQ(response->status, 404);
  EXPECT_EQ(response->body, "");
}

TEST(HttpCall, EndsAtItsDeadline) {
  HttpWorld http;
  const auto response = http.call(get("/slow"), {}, 2s);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, Errc::kDeadline);
  EXPECT_EQ(to_string(response.error()), "GET /slow at 127.0.0.1:80 took too long");
}

TEST(HttpCall, RefusesAnAnswerOverItsLimit) {
  HttpWorld http;
  HttpCall call{
      {"127.0.0.1", 80}, nullptr, HttpRequest{"POST", "/echo", {}, {}, "twelve bytes"}, {}};
  call.body_limit = 11;
  std::optional<Result<HttpResponse>> outcome;
  http.world.run(HttpWorld::keep_response(
      http_call(http.world.env(), std::move(call), http.world.clock.now() + 5s), outcome));
  ASSERT_FALSE(*outcome);
  EXPECT_EQ(outcome->error().code, Errc::kCorrupt);
}

TEST(ErrorResponse, IsWhatOpenAiClientsExpect) {
  const HttpResponse response = error_response(400, "no \"model\"", "invalid_request_error");
  EXPECT_EQ(response.body, R"({"error":{"message":"no \"model\"","type":"invalid_request_error",)"
                           R"("param":null,"code":null}})");
  EXPECT_EQ(http_status(Errc::kNotFound), 404);
}

TEST(Metrics, ShowsWhatWasCounted) {
  Metrics metrics;
  metrics.counter("skein_tokens_total", "Tokens made.", {{"model", "v1"}}).Increment(3);
  metrics.counter("skein_tokens_total", "Tokens made.", {{"model", "v1"}}).Increment();
  metrics.gauge("skein_sessions", "Open sessions.").Set(2);
  metrics.histogram("skein_step_seconds", "A step.", {0.1, 1}).Observe(0.5);
  const std::string text = metrics.text();
  EXPECT_NE(text.find("skein_tokens_total{model=\"v1\"} 4"), std::string::npos) << text;
  EXPECT_NE(text.find("skein_sessions 2"), std::string::npos);
  EXPECT_NE(text.find("skein_step_seconds_bucket{le=\"1\"} 1"), std::string::npos);
}

}  // namespace
}  // namespace skein
