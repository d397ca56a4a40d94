// Peers over real sockets and TLS, served by serve_links.
#include <gtest/gtest.h>

#include "common/env/real/real_env.h"
#include "common/wire/serve.h"
#include "tests/support/certificate_house.h"

namespace skein {
namespace {

constexpr std::size_t kPages = 64;
constexpr std::size_t kPageBytes = 256 << 10;

// FetchPages: the pages asked for. Anything else waits until it is cancelled.
class PageHandler final : public RequestHandler {
 public:
  explicit PageHandler(Clock& clock) : clock_(clock) {}
  Task<Result<Envelope>> handle(const PeerIdentity& from, Envelope request,
                                PartSink& parts) override {
    name = from.name;
    if (const auto* fetch = std::get_if<FetchPages>(&request.message)) {
      for (const Digest& page : fetch->pages) {
        const Buffer payload(kPageBytes, page.bytes[0]);
        CO_TRY_VOID(co_await parts.send(PagePart{page}, payload));
      }
      co_return Envelope{Ack{}, {}};
    }
    struct Note {
      int& unwound;
      ~Note() { ++unwound; }
    };
    const Note note{unwound};
    co_await clock_.sleep_for(std::chrono::hours(1));
    co_return Envelope{Ack{}, {}};
  }
  std::string name;
  int unwound = 0;

 private:
  Clock& clock_;
};

struct TlsLink : testing::Test {
  TlsLink() {
    auto bound =
        env.network.listen({"127.0.0.1", 0}, std::make_shared<TlsOptions>(house.server_options()));
    CHECK(bound.has_value());
    listener = std::move(*bound);
    const HandlerFor handler_for = [this](const PeerIdentity& peer) {
      return peer.name.empty() ? nullptr : &handler;
    };
    server.spawn(serve_links(env, *listener, handler_for, PeerOptions{}));
    auto stream = real.run(env.network.connect(
        listener->local(), std::make_shared<TlsOptions>(house.device_options())));
    CHECK(stream.has_value());
    edge = std::make_unique<Peer>(env, std::move(*stream), nullptr, PeerOptions{});
    client.spawn(keep(edge->run(), ended));
  }
  static Task<void> keep(Task<Result<void>> run, std::optional<Result<void>>& out) {
    out = co_await std::move(run);
  }
  Instant in(Duration duration) { return env.clock.now() + duration; }

  RealEnv real{{.compute_threads = 1, .log_level = LogLevel::kError}};
  Env env = real.env();
  test::House house{1, env.clock.wall_now()};
  PageHandler handler{env.clock};
  std::unique_ptr<Listener> listener;
  std::unique_ptr<Peer> edge;
  std::optional<Result<void>> ended;
  TaskGroup server{env.executor};
  TaskGroup client{env.executor};
};

TEST_F(TlsLink, PagesStreamToADeviceKnownByItsCertificate) {
  FetchPages request;
  request.pages.resize(kPages);
  std::size_t bytes = 0;
  auto take = [&bytes](Message, Buffer payload) -> Task<Result<void>> {
    bytes += payload.size();
    co_return Result<void>{};
  };
  const Peer::OnPart on_part = take;
  const auto reply = real.run(edge->call_streaming(request, on_part, std::chrono::seconds(20)));
  ASSERT_TRUE(reply) << to_string(reply.error());
  EXPECT_EQ(bytes, kPages * kPageBytes);
  EXPECT_EQ(handler.name, "device-7");

  edge->close();
  real.run(client.join());
  EXPECT_TRUE(ended && *ended);
  real.run(server.stop());
}

TEST_F(TlsLink, StoppingTheServerUnwindsItsHandlersAndEndsTheLinks) {
  const auto late = real.run(edge->call(SplitClose{}, {}, in(std::chrono::milliseconds(100))));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Errc::kDeadline);
  client.spawn([](Peer& peer, Instant deadline) -> Task<void> {
    const auto cut = co_await peer.call(SplitClose{}, {}, deadline);
    EXPECT_EQ(cut.error().code, Errc::kUnavailable);
  }(*edge, in(std::chrono::seconds(30))));
  real.run(env.clock.sleep_for(std::chrono::milliseconds(100)));
  EXPECT_EQ(handler.unwound, 1);
  real.run(server.stop());
  EXPECT_EQ(handler.unwound, 2);
  real.run(client.join());
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->error().code, Errc::kUnavailable);
}

}  // namespace
}  // namespace skein
