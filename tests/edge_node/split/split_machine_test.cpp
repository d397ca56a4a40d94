#include "edge_node/split/split_machine.h"

#include <gtest/gtest.h>

#include <random>

namespace skein {
namespace {

using Action = SplitAction;
using Event = SplitEvent;

// A session that has opened and had 10 tokens answered.
SplitMachine after_ten() {
  SplitMachine machine;
  machine.step(Event::Fed{10});
  machine.step(Event::Opened{Step(0)});
  machine.step(Event::Answered{});
  return machine;
}

TEST(SplitMachine, OpensOnceThenSends) {
  SplitMachine machine;
  EXPECT_EQ(machine.step(Event::Fed{10}), Action::kOpen);
  EXPECT_EQ(machine.step(Event::Opened{Step(0)}), Action::kSend);
  EXPECT_EQ(machine.step(Event::Answered{}), Action::kUseReply);
  EXPECT_EQ(machine.base(), Step(10));
  EXPECT_EQ(machine.step(Event::Fed{1}), Action::kSend);
}

TEST(SplitMachine, RepeatsTheSameStepWhetherOrNotTheServerHasRunIt) {
  for (const std::uint64_t next : {10U, 11U}) {
    SplitMachine machine = after_ten();
    machine.step(Event::Fed{1});
    EXPECT_EQ(machine.step(Event::CallFailed{Errc::kUnavailable}), Action::kWaitLink);
    EXPECT_EQ(machine.step(Event::LinkBack{}), Action::kOpen);
    EXPECT_EQ(machine.step(Event::Opened{Step(next)}), Action::kSend);
    EXPECT_EQ(machine.base(), Step(10));
    EXPECT_EQ(machine.step(Event::Answered{}), Action::kUseReply);
    EXPECT_EQ(machine.base(), Step(11));
  }
}

TEST(SplitMachine, TurnsLocalWhenTheServersStateIsNotOursAnyMore) {
  for (const std::uint64_t next : {0U, 9U, 12U}) {
    SplitMachine machine = after_ten();
    machine.step(Event::Fed{1});
    machine.step(Event::CallFailed{Errc::kDeadline});
    machine.step(Event::LinkBack{});
    EXPECT_EQ(machine.step(Event::Opened{Step(next)}), Action::kGoLocal);
    EXPECT_TRUE(machine.local());
  }
}

TEST(SplitMachine, TurnsLocalAtOnceWhenTheServerRefuses) {
  for (const Errc code : {Errc::kOutOfStep, Errc::kNotFound, Errc::kOutOfRoom, Errc::kCorrupt}) {
    SplitMachine machine = after_ten();
    machine.step(Event::Fed{1});
    EXPECT_EQ(machine.step(Event::CallFailed{code}), Action::kGoLocal);
  }
}

TEST(SplitMachine, TurnsLocalWhenTheLinkStaysAway) {
  SplitMachine machine = after_ten();
  machine.step(Event::Fed{1});
  machine.step(Event::CallFailed{Errc::kUnavailable});
  EXPECT_EQ(machine.step(Event::LinkGone{}), Action::kGoLocal);
}

TEST(SplitMachine, TriesABoundedNumberOfTimes) {
  SplitMachine machine = after_ten();
  machine.step(Event::Fed{1});
  for (unsigned i = 0; i < kMaxReopens; ++i) {
    EXPECT_EQ(machine.step(Event::CallFailed{Errc::kUnavailable}), Action::kWaitLink);
    EXPECT_EQ(machine.step(Event::LinkBack{}), Action::kOpen);
  }
  EXPECT_EQ(machine.step(Event::CallFailed{Errc::kUnavailable}), Action::kGoLocal);
}

// Against a server that loses replies and restarts at random: every batch ends, no step is ever run
// twice, and base never runs ahead of the server.
TEST(SplitMachine, EndsEveryBatchUnderRandomTrouble) {
  std::mt19937_64 random(77);
  for (int life = 0; life < 500; ++life) {
    SplitMachine machine;
    std::uint64_t server = 0;  // tokens run over there
    for (int batch = 0; batch < 20 && !machine.local(); ++batch) {
      const auto count = static_cast<std::uint32_t>(1 + random() % 5);
      Action action = machine.step(Event::Fed{count});
      int turns = 0;
      while (action != Action::kUseReply && action != Action::kGoLocal) {
        ASSERT_LT(++turns, 20);
        const bool trouble = random() % 4 == 0;
        if (random() % 40 == 0) server = 0;
        if (action == Action::kWaitLink) {
          action =
              random() % 8 == 0 ? machine.step(Event::LinkGone{}) : machine.step(Event::LinkBack{});
        } else if (action == Action::kOpen) {
          action = trouble ? machine.step(Event::CallFailed{Errc::kUnavailable})
                           : machine.step(Event::Opened{Step(server)});
        } else {
          const std::uint64_t base = machine.base().value();
          if (server == base) server += count;
          const bool ran = server == base + count;
          action = !ran      ? machine.step(Event::CallFailed{Errc::kOutOfStep})
                   : trouble ? machine.step(Event::CallFailed{Errc::kDeadline})
                             : machine.step(Event::Answered{});
        }
      }
      if (!machine.local()) EXPECT_LE(machine.base().value(), server);
    }
  }
}

}  // namespace
}  // namespace skein
