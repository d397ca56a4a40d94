#include "simulations/scenarios/story.h"

#include <gtest/gtest.h>

#include <fstream>

namespace skein {
namespace {

// A short story, kind or not: few devices, few questions.
Scenario small(bool kind) {
  Scenario scenario;
  scenario.devices = 6;
  scenario.chats = 4;
  scenario.splits = 4;
  scenario.round_devices = 2;
  scenario.log_lines = 6;
  scenario.faults.calm_from = Instant(std::chrono::minutes(kind ? 0 : 5));
  if (kind) return scenario;
  scenario.faults.link.latency = std::chrono::milliseconds(30);
  scenario.faults.link.loss = 0.01;
  scenario.faults.stream_reset = 0.001;
  scenario.faults.cuts_per_minute = 6;
  scenario.device_crashes_per_minute = 4;
  scenario.coordinator_crashes_per_minute = 0.5;
  return scenario;
}

std::string all(const StoryEnd& end) {
  std::string text;
  for (const std::string& violation : end.violations) text += violation + "\n";
  for (const std::string& line : end.last_events) text += "  " + line + "\n";
  return text;
}

TEST(Story, AKindWorldReachesTheEndWithEveryChapterTold) {
  const StoryEnd end = tell(small(true), 3, 0);
  EXPECT_EQ(all(end), "");
  EXPECT_EQ(end.metrics.at("chats"), 4);
  EXPECT_EQ(end.metrics.at("splits"), 4);
  EXPECT_EQ(end.metrics.at("devices_updated"), 18);  // two artifacts and what was learned
  EXPECT_LT(end.metrics.at("loss_after"), end.metrics.at("loss_before"));
}

TEST(Story, AnUnkindWorldReachesTheEndToo) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    const StoryEnd end = tell(small(false), seed, 0);
    EXPECT_EQ(all(end), "") << "seed " << seed;
  }
}

// Devices under a memory budget, on storage that is slow, fails and lies, and under pressure.
TEST(Story, RottenStorageCostsTimeAndNoAnswer) {
  std::ifstream file(SKEIN_SOURCE_DIR "/simulations/scenarios/rotten_storage.toml");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  Scenario scenario = parse_scenario(text, "rotten_storage.toml").value();
  scenario.devices = 4;
  scenario.chats = 8;
  scenario.splits = 2;
  const StoryEnd end = tell(scenario, 5, 0);
  EXPECT_EQ(all(end), "");
  EXPECT_EQ(end.metrics.at("chats"), 8);
  EXPECT_GT(end.metrics.at("block_reads_lied"), 0);
  EXPECT_GT(end.metrics.at("block_reads_failed"), 0);
  EXPECT_EQ(end.trace_hash, tell(scenario, 5, 0).trace_hash);
}

TEST(Story, TheSameSeedLeavesTheSameTraceAndAnotherSeedAnother) {
  const StoryEnd first = tell(small(false), 11, 0);
  const StoryEnd again = tell(small(false), 11, 0);
  EXPECT_EQ(first.trace_hash, again.trace_hash);
  EXPECT_EQ(first.events, again.events);
  EXPECT_NE(first.trace_hash, tell(small(false), 12, 0).trace_hash);
}

TEST(Story, WhatCannotArriveInTimeIsAViolationThatNamesItsChapter) {
  Scenario scenario = small(true);
  scenario.until_s = 5;
  const StoryEnd end = tell(scenario, 3, 0);
  ASSERT_EQ(end.violations.size(), 1U);
  EXPECT_NE(end.violations[0].find("stood still in its chapter"), std::string::npos);
}

}  // namespace
}  // namespace skein
