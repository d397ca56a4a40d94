// The server against clients that do not behave: each costs bounded time and memory.
#include <gtest/gtest.h>

#include <random>
#include <sstream>

#include "tests/common/http/http_world.h"

namespace skein {
namespace {

using namespace test::durations;
using test::HttpWorld;

std::string status_of(const std::string& response) {
  return response.size() < 12 ? response : response.substr(9, 3);
}

TEST(HostileHttp, BadRequestsAreAnsweredAndTheConnectionClosed) {
  const std::pair<const char*, const char*> cases[] = {
      {"nonsense\r\n\r\n", "400"},
      {"GET /echo HTTP/3.0\r\nHost: e\r\n\r\n", "505"},
      {"GET /echo HTTP/1.1\r\n\r\n", "400"},                              // no host
      {"GET echo HTTP/1.1\r\nHost: e\r\n\r\n", "400"},                    // no slash
      {"GET /%zz HTTP/1.1\r\nHost: e\r\n\r\n", "400"},                    // bad escape
      {"GET /%00 HTTP/1.1\r\nHost: e\r\n\r\n", "400"},                    // hidden NUL
      {"GET /echo HTTP/1.1\r\nHost: e\r\nBad Header: x\r\n\r\n", "400"},  // space in a name
      {"POST /echo HTTP/1.1\r\nHost: e\r\nContent-Length: -1\r\n\r\n", "400"},
      {"POST /echo HTTP/1.1\r\nHost: e\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", "400"},
      {"POST /echo HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400"},
  };
  for (const auto& [text, status] : cases) {
    HttpWorld http;
    const std::string got = http.raw(text);
    EXPECT_EQ(status_of(got), status) << text << got;
    EXPECT_NE(got.find("\"error\""), std::string::npos) << got;
    EXPECT_TRUE(http.closed_by_server) << text;
    EXPECT_EQ(http.server->in_flight(), 0U);
  }
}

TEST(HostileHttp, OversizedHeadersAreRefused) {
  HttpWorld http;
  const std::string got = http.raw(
      "GET /echo HTTP/1.1\r\nHost: e\r\nX: " + std::string(kMaxHttpHeaderBytes, 'x') + "\r\n\r\n");
  EXPECT_EQ(status_of(got), "431");
  EXPECT_EQ(status_of(http.raw(std::string(200'000, 'G'))), "431");
}

TEST(HostileHttp, OversizedBodiesAreRefused) {
  HttpServerOptions options;
  options.body_limit = 1000;
  HttpWorld http(options);
  EXPECT_EQ(status_of(http.raw("POST /echo HTTP/1.1\r\nHost: e\r\nContent-Length: 1001\r\n\r\n" +
                               std::string(1001, 'b'))),
            "413");
  EXPECT_EQ(status_of(http.raw("POST /echo HTTP/1.1\r\nHost: e\r\nContent-Length: "
                               "18446744073709551615\r\n\r\n")),
            "413");
  std::string chunked = "POST /echo HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 20; ++i) chunked += "64\r\n" + std::string(100, 'b') + "\r\n";
  EXPECT_EQ(status_of(http.raw(chunked + "0\r\n\r\n")), "413");
  const std::string fits =
      "POST /echo HTTP/1.1\r\nHost: e\r\nContent-Length: 1000\r\n\r\n" + std::string(1000, 'b');
  EXPECT_EQ(status_of(http.raw(fits, 2s)), "200");
}

TEST(HostileHttp, APathMayHaveItsOwnLimitForBodies) {
  HttpServerOptions options;
  options.body_limit_of = [](std::string_view path) { return path == "/echo" ? 1000UL : 10UL; };
  HttpWorld http(options);
  const auto post = [&](const std::string& path, std::size_t bytes, bool chunked) {
    const std::string body(bytes, 'b');
    std::ostringstream text;
    text << "POST " << path << " HTTP/1.1\r\nHost: e\r\n";
    if (chunked) {
      text << "Transfer-Encoding: chunked\r\n\r\n";
      text << std::hex << bytes << "\r\n" << body << "\r\n0\r\n\r\n";
    } else {
      text << "Content-Length: " << bytes << "\r\n\r\n" << body;
    }
    return status_of(http.raw(text.str(), 2s));
  };
  for (const bool chunked : {false, true}) {
    EXPECT_EQ(post("/echo", 1000, chunked), "200");
    EXPECT_EQ(post("/echo", 1001, chunked), "413");
    EXPECT_EQ(post("/other", 10, chunked), "404");
    EXPECT_EQ(post("/other", 11, chunked), "413");
  }
}

Task<void> drip(HttpWorld& http, std::string& got, Duration& took) {
  const Instant before = http.world.clock.now();
  auto stream = co_await http.world.network.connect({"127.0.0.1", 80}, nullptr);
  const std::string head = "GET /echo HTTP/1.1\r\nHost: e\r\nX: ";
  auto written = co_await (*stream)->write_all(as_bytes(head));
  for (int i = 0; i < 30; ++i) {
    written = co_await (*stream)->write_all(as_bytes("x"));
    if (!written) break;
    co_await http.world.clock.sleep_for(1s);
  }
  took = http.world.clock.now() - before;
  Task<Result<void>> reading = HttpWorld::read_all(**stream, got);
  const auto all = co_await std::move(reading);
  EXPECT_TRUE(all);
}

TEST(HostileHttp, AHeadThatDripsInIsCutAtItsLimit) {
  HttpWorld http;  // header_limit 10 s
  std::string got;
  Duration took{};
  http.world.run(drip(http, got, took));
  EXPECT_EQ(status_of(got), "408");
  EXPECT_LE(took, 13s);
}

TEST(HostileHttp, AnIdleConnectionIsClosedSilently) {
  HttpWorld http;
  EXPECT_EQ(http.raw("", 80s), "");
  EXPECT_TRUE(http.closed_by_server);
}

Task<void> ask_and_never_read(HttpWorld& http) {
  auto stream = co_await http.world.network.connect({"127.0.0.1", 80}, nullptr);
  const auto written =
      co_await (*stream)->write_all(as_bytes("GET /flood HTTP/1.1\r\nHost: e\r\n\r\n"));
  EXPECT_TRUE(written);
  co_await http.world.clock.sleep_for(100s);
}

TEST(HostileHttp, AClientThatDoesNotReadIsDroppedAtTheWriteLimit) {
  HttpWorld http;
  http.world.run(ask_and_never_read(http));
  EXPECT_EQ(http.server->in_flight(), 0U);
  EXPECT_TRUE(http.saw_gone);
  EXPECT_LT(http.events, 20);
}

TEST(HostileHttp, PipeliningWithoutReadingIsHeldBack) {
  HttpWorld http;
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "GET /echo HTTP/1.1\r\nHost: e\r\n\r\n";
  const std::string got = http.raw(text, 40s);
  EXPECT_EQ(http.server->in_flight(), 0U);
}

TEST(HostileHttp, AnswersCannotSmuggleHeaders) {
  HttpWorld http;
  const std::string got =
      http.raw("GET /echo?a=x%0d%0aSet-Cookie:%20b HTTP/1.1\r\nHost: e\r\n\r\n", 2s);
  EXPECT_NE(got.find("X-Seen: GET a=x  Set-Cookie: b\r\n"), std::string::npos) << got;
}

TEST(HostileHttp, NoiseNeverBreaksTheServer) {
  HttpWorld http;
  std::mt19937_64 bits(1);
  const std::string good =
      "POST /echo?q=1 HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n"
      "5\r\nhello\r\n0\r\n\r\nGET /echo HTTP/1.1\r\nHost: e\r\n\r\n";
  for (int round = 0; round < 400; ++round) {
    std::string text = good;
    for (std::uint64_t flips = 1 + bits() % 4; flips > 0; --flips) {
      text[bits() % text.size()] = static_cast<char>(bits());
    }
    text.resize(bits() % (text.size() + 1));
    http.raw(text, 100s);
  }
  EXPECT_EQ(http.server->in_flight(), 0U);
  EXPECT_EQ(status_of(http.raw("GET /echo HTTP/1.1\r\nHost: e\r\n\r\n", 1s)), "200");
}

}  // namespace
}  // namespace skein
