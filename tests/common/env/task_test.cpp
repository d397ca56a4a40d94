#include "common/env/task.h"

#include <gtest/gtest.h>

#include <csignal>

#include "common/env/real/real_env.h"

namespace skein {
namespace {

using std::chrono::milliseconds;

struct Fixture {
  RealEnv real;
  Env env = real.env();
};

Task<void> sleep_forever(Clock& clock, bool& unwound) {
  struct Note {
    bool& flag;
    ~Note() { flag = true; }
  };
  const Note note{unwound};
  co_await clock.sleep_until(Instant::max());
}

TEST(TaskGroup, StopCancelsWhatSleepsAndWaitsForIt) {
  Fixture f;
  TaskGroup group(f.env.executor);
  bool first = false;
  bool second = false;
  group.spawn(sleep_forever(f.env.clock, first));
  group.spawn(sleep_forever(f.env.clock, second));
  EXPECT_EQ(group.running(), 2U);
  f.real.run(group.stop());
  EXPECT_TRUE(first && second);
  EXPECT_EQ(group.running(), 0U);
}

TEST(TaskGroup, JoinWaitsForTasksThatEndByThemselves) {
  Fixture f;
  TaskGroup group(f.env.executor);
  int ended = 0;
  auto nap = [](Clock& clock, int& count) -> Task<void> {
    co_await clock.sleep_for(milliseconds(2));
    ++count;
  };
  for (int i = 0; i < 5; ++i) group.spawn(nap(f.env.clock, ended));
  f.real.run(group.join());
  EXPECT_EQ(ended, 5);
}

TEST(TaskGroup, ATaskCancelledRightAfterItsSpawnEnds) {
  Fixture f;
  TaskGroup group(f.env.executor);
  bool unwound = false;
  group.spawn(sleep_forever(f.env.clock, unwound));
  group.cancel();
  f.real.run(group.join());
  EXPECT_EQ(group.running(), 0U);
}

TEST(TaskGroup, ATaskThatCancelsItselfAndEndsAtOnceDoesNoHarm) {
  Fixture f;
  TaskGroup group(f.env.executor);
  auto hasty = [](TaskGroup& own, Clock& clock) -> Task<void> {
    own.cancel();
    co_await clock.sleep_for(std::chrono::hours(1));
  };
  group.spawn(hasty(group, f.env.clock));
  f.real.run(group.join());
}

TEST(TaskGroup, ATaskThatEndsWhileItsCancellationIsOnItsWayDoesNoHarm) {
  Fixture f;
  auto group = std::make_unique<TaskGroup>(f.env.executor);
  Signal signal(f.env.executor);
  auto wait = [](Signal& s) -> Task<void> { co_await s.wait(); };
  group->spawn(wait(signal));
  f.real.run(f.env.clock.sleep_for(milliseconds(1)));
  signal.notify_all();
  group.reset();
  f.real.run(f.env.clock.sleep_for(milliseconds(1)));
}

TEST(TaskGroup, TasksLeftOverAreDestroyedWithTheEnv) {
  bool unwound = false;
  {
    Fixture f;
    TaskGroup group(f.env.executor);
    group.spawn(sleep_forever(f.env.clock, unwound));
    f.real.run(f.env.clock.sleep_for(milliseconds(1)));
  }
  EXPECT_TRUE(unwound);
}

TEST(Signal, WakesEveryWaiterAndOnlyThoseThatWait) {
  Fixture f;
  Signal signal(f.env.executor);
  TaskGroup group(f.env.executor);
  int woken = 0;
  auto wait = [](Signal& s, int& count) -> Task<void> {
    co_await s.wait();
    ++count;
  };
  signal.notify_all();  // nobody waits yet: forgotten
  for (int i = 0; i < 3; ++i) group.spawn(wait(signal, woken));
  f.real.run(f.env.clock.sleep_for(milliseconds(1)));
  EXPECT_EQ(woken, 0);
  signal.notify_all();
  f.real.run(group.join());
  EXPECT_EQ(woken, 3);
}

Task<Result<int>> answer_after(Clock& clock, Duration wait, bool& unwound) {
  struct Note {
    bool& flag;
    ~Note() { flag = true; }
  };
  const Note note{unwound};
  co_await clock.sleep_for(wait);
  co_return 42;
}

TEST(WithDeadline, GivesTheTasksOwnResultWhenItIsInTime) {
  Fixture f;
  bool unwound = false;
  Task<Result<int>> work = answer_after(f.env.clock, milliseconds(1), unwound);
  const auto result = f.real.run(with_deadline(
      f.env.clock, f.env.clock.now() + std::chrono::seconds(10), "work", std::move(work)));
  ASSERT_TRUE(result);
  EXPECT_EQ(*result, 42);
}

Task<Result<int>> at_once() { co_return 7; }

TEST(WithDeadline, ATaskThatNeverWaitsIsNotHeldUntilTheDeadline) {
  Fixture f;
  Env env = f.real.env();
  const Instant before = env.clock.now();
  const auto result =
      f.real.run(with_deadline(env.clock, before + std::chrono::seconds(5), "nothing", at_once()));
  EXPECT_EQ(result.value(), 7);
  EXPECT_LT(env.clock.now() - before, std::chrono::seconds(3));
}

TEST(WithDeadline, NamesWhatWasLateAndHasUnwoundIt) {
  Fixture f;
  bool unwound = false;
  Task<Result<int>> work = answer_after(f.env.clock, std::chrono::hours(1), unwound);
  const auto result = f.real.run(with_deadline(f.env.clock, f.env.clock.now() + milliseconds(5),
                                               "the answer", std::move(work)));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::kDeadline);
  EXPECT_EQ(result.error().what, "the answer took too long");
  EXPECT_TRUE(unwound);
}

TEST(WithDeadline, CancellingTheCallerWaitsForTheWorkToUnwind) {
  Fixture f;
  bool unwound = false;
  TaskGroup group(f.env.executor);
  auto caller = [](Clock& clock, bool& flag) -> Task<void> {
    Task<Result<int>> work = answer_after(clock, std::chrono::hours(1), flag);
    (void)co_await with_deadline(clock, Instant::max(), "work", std::move(work));
    co_await clock.sleep_for(milliseconds(1));
    ADD_FAILURE() << "a cancelled task went on";
  };
  group.spawn(caller(f.env.clock, unwound));
  f.real.run(f.env.clock.sleep_for(milliseconds(1)));
  f.real.run(group.stop());
  EXPECT_TRUE(unwound);
}

Task<void> wait_and_count(Clock& clock, Duration wait, int& ended, int& unwound) {
  struct Note {
    int& count;
    ~Note() { ++count; }
  };
  const Note note{unwound};
  co_await clock.sleep_for(wait);
  ++ended;
}

TEST(AllOf, WaitsForEveryTask) {
  Fixture f;
  int ended = 0;
  int unwound = 0;
  std::vector<Task<void>> tasks;
  for (int i = 0; i < 5; ++i) {
    tasks.push_back(wait_and_count(f.env.clock, milliseconds(5 - i), ended, unwound));
  }
  f.real.run(all_of(std::move(tasks)));
  EXPECT_EQ(ended, 5);
  f.real.run(all_of({}));
}

TEST(AllOf, CancellingTheCallerWaitsForAllToUnwind) {
  Fixture f;
  int ended = 0;
  int unwound = 0;
  int after = -1;
  TaskGroup group(f.env.executor);
  auto caller = [&]() -> Task<void> {
    struct Note {
      int& unwound;
      int& after;
      ~Note() { after = unwound; }
    };
    const Note note{unwound, after};
    std::vector<Task<void>> tasks;
    for (int i = 0; i < 3; ++i) {
      tasks.push_back(wait_and_count(f.env.clock, std::chrono::hours(1), ended, unwound));
    }
    co_await all_of(std::move(tasks));
    co_await f.env.clock.sleep_for(milliseconds(1));
    ADD_FAILURE() << "a cancelled task went on";
  };
  group.spawn(caller());
  f.real.run(f.env.clock.sleep_for(milliseconds(1)));
  f.real.run(group.stop());
  EXPECT_EQ(after, 3);
  EXPECT_EQ(ended, 0);
}

TEST(RealEnv, RandomNumbersDiffer) {
  Fixture f;
  std::array<std::byte, 32> one{};
  std::array<std::byte, 32> two{};
  f.env.random.fill(one);
  f.env.random.fill(two);
  EXPECT_NE(one, two);
  EXPECT_NE(f.env.random.next(), f.env.random.next());
  EXPECT_FALSE(f.env.random.sometimes("anything"));
}

TEST(RealEnv, SignalsCallDrainAndStop) {
  Fixture f;
  int drains = 0;
  f.real.on_signals([&] { ++drains, ::raise(SIGINT); }, [&] { f.real.stop(); });
  ::raise(SIGTERM);
  f.real.run();
  EXPECT_EQ(drains, 1);
}

}  // namespace
}  // namespace skein
