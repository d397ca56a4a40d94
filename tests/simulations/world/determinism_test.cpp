// A toy house: one server that journals what it acknowledges, a few clients that retry until they
// are acknowledged, and a world that loses, cuts and crashes. Small, but it has every kind of
// event.
#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <set>

#include "simulations/world/world.h"

namespace skein {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint16_t kPort = 7070;

Task<Result<void>> read_whole(Stream& stream, MutableByteView into) {
  while (!into.empty()) {
    CO_TRY(const std::size_t got, co_await stream.read_some(into));
    if (got == 0) co_return fail(Errc::kUnavailable, "the peer ended");
    into = into.subspan(got);
  }
  co_return Result<void>{};
}

class Server {
 public:
  explicit Server(Env env) : env_(env), tasks_(env.executor) { tasks_.spawn(serve()); }
  Task<void> stop() { return tasks_.stop(); }

 private:
  Task<void> serve() {
    auto journal = co_await env_.disk.open("journal", OpenMode::kReadWrite);
    if (!journal) journal = co_await env_.disk.open("journal", OpenMode::kCreate);
    if (!journal || !(co_await env_.disk.sync_directory("."))) co_return;
    journal_ = std::move(*journal);
    auto listener = env_.network.listen({"server", kPort}, nullptr);
    if (!listener) co_return;
    for (;;) {
      auto stream = co_await (*listener)->accept();
      if (!stream) co_return;
      tasks_.spawn(answer(std::move(*stream)));
    }
  }
  Task<void> answer(std::unique_ptr<Stream> stream) {
    Buffer message(16);
    while (co_await read_whole(*stream, message)) {
      const std::uint64_t at = written_;
      written_ += message.size();
      if (!(co_await journal_->write_at(at, message))) co_return;
      if (!(co_await journal_->sync())) co_return;
      env_.log.info("journaled", {{"at", at}});
      if (!(co_await stream->write_all(message))) co_return;
    }
  }

  Env env_;
  std::unique_ptr<File> journal_;
  std::uint64_t written_ = journal_size();
  TaskGroup tasks_;

  std::uint64_t journal_size() {
    const auto mapped = env_.disk.map("journal");
    return mapped ? ((*mapped)->bytes().size() + 15) / 16 * 16 : 0;
  }
};

struct Client {
  Client(Env e, std::uint64_t n, std::uint64_t w)
      : env(e), number(n), wanted(w), tasks(e.executor) {
    tasks.spawn(run());
  }
  Task<void> run() {
    while (acknowledged < wanted) {
      Task<Result<void>> work = talk();
      const Instant deadline = env.clock.now() + seconds(20);
      const auto talked = co_await with_deadline(env.clock, deadline, "talking", std::move(work));
      if (!talked) env.log.warn("again", {{"why", to_string(talked.error())}});
      co_await env.clock.sleep_for(env.random.jitter(milliseconds(100), 0.5));
    }
  }
  Task<Result<void>> talk() {
    const Endpoint to{"server", kPort};
    CO_TRY(const auto stream, co_await env.network.connect(to, nullptr));
    while (acknowledged < wanted) {
      Buffer message;
      append_le(message, number);
      append_le(message, acknowledged);
      CO_TRY_VOID(co_await stream->write_all(message));
      Buffer echo(message.size());
      CO_TRY_VOID(co_await read_whole(*stream, echo));
      if (echo != message) co_return fail(Errc::kCorrupt, "the echo differs");
      ++acknowledged;
    }
    co_return Result<void>{};
  }
  Env env;
  std::uint64_t number;
  std::uint64_t wanted;
  std::uint64_t acknowledged = 0;
  TaskGroup tasks;
};

struct Outcome {
  std::string hash;
  std::uint64_t events = 0;
  RunEnd end = RunEnd::kTime;
  bool all_journaled = true;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

FaultPlan harsh() {
  FaultPlan plan;
  plan.calm_from = Instant(seconds(120));
  plan.link.loss = 0.05;
  plan.stream_reset = 0.01;
  plan.short_read = 0.2;
  plan.cuts_per_minute = 6;
  return plan;
}

bool journal_has(const Buffer& journal, std::uint64_t client, std::uint64_t number) {
  for (std::size_t at = 0; at + 16 <= journal.size(); at += 16) {
    if (load_le<std::uint64_t>(journal, at) == client &&
        load_le<std::uint64_t>(journal, at + 8) == number) {
      return true;
    }
  }
  return false;
}

Outcome play(std::uint64_t seed, const FaultPlan& plan, std::uint64_t wanted, bool crashes) {
  World world({.seed = seed, .faults = plan});
  auto server = std::make_unique<Server>(world.node_env("server"));
  std::vector<std::unique_ptr<Client>> clients;
  for (std::uint64_t i = 0; i < 5; ++i) {
    Env env = world.node_env("client-" + std::to_string(i));
    clients.push_back(std::make_unique<Client>(env, i, wanted));
  }
  for (int i = 0; crashes && i < 8; ++i) {
    const auto wait = static_cast<Duration::rep>(world.random().below(10'000'000'000));
    world.run_until(world.clock().now() + Duration(wait));
    world.crash("server");
    world.run(server->stop());
    server = std::make_unique<Server>(world.node_env("server"));
  }
  const auto busy = [&] {
    return std::ranges::any_of(clients, [](const auto& c) { return c->tasks.running() > 0; });
  };
  Outcome outcome;
  outcome.end = world.run_while(busy, Instant(seconds(100'000)));
  const Buffer journal = world.file("server", "journal").value_or(Buffer{});
  for (const auto& client : clients) {
    for (std::uint64_t i = 0; i < client->acknowledged; ++i) {
      outcome.all_journaled &= journal_has(journal, client->number, i);
    }
  }
  outcome.hash = world.trace_hash();
  outcome.events = world.events();
  return outcome;
}

// Processor time, so that a busy machine does not fail the test.
double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

TEST(Determinism, TheSameSeedGivesTheSameHash) {
  std::set<std::string> hashes;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const Outcome first = play(seed, harsh(), 50, true);
    EXPECT_EQ(first, play(seed, harsh(), 50, true)) << seed;
    EXPECT_EQ(first.end, RunEnd::kStopped) << seed;
    EXPECT_TRUE(first.all_journaled) << seed;
    hashes.insert(first.hash);
  }
  EXPECT_EQ(hashes.size(), 10U);
}

TEST(Determinism, AHundredThousandEventsAreQuick) {
  const double before = cpu_seconds();
  const Outcome outcome = play(1, FaultPlan{}, 2000, false);
  EXPECT_GT(outcome.events, 100'000U);
  EXPECT_EQ(outcome.end, RunEnd::kStopped);
  const double per_event = (cpu_seconds() - before) / static_cast<double>(outcome.events);
  RecordProperty("microseconds_per_event", std::to_string(per_event * 1e6));
#ifdef NDEBUG
  EXPECT_LT(per_event, 10e-6);
#endif
}

}  // namespace
}  // namespace skein
