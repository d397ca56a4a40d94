// What is read out of /proc and /sys, as they are and damaged.
#include "common/env/pressure/pressure.h"

#include <gtest/gtest.h>

#include <random>

#include "common/env/real/real_env.h"
#include "tests/common/env/pressure/planted_files.h"

namespace skein {
namespace {

using std::chrono::microseconds;
using test::PlantedFiles;

TEST(Pressure, APhonesFilesSayAllThereIs) {
  PlantedFiles files = test::phone();
  const Pressure pressure = read_pressure(files);
  EXPECT_EQ(pressure.machine_stalls,
            (StallTimes{microseconds(9395859), microseconds(1380037), 0.125, 0.0125}));
  EXPECT_EQ(pressure.group_stalls, (StallTimes{microseconds(7), microseconds(0), 0, 0}));
  EXPECT_EQ(pressure.available_bytes, 1000U * 1024);
  EXPECT_EQ(pressure.process, (ProcessMemory{7000U * 1024, 9000U * 1024}));
  EXPECT_EQ(pressure.group, (GroupMemory{50'000'000, 21'000'000, 12, 1}));
  EXPECT_EQ(pressure.group->room_bytes(), 29'000'000U);
  EXPECT_EQ(pressure.heat, Heat::kHot);
  EXPECT_TRUE(pressure.on_battery);
  EXPECT_EQ(pressure.battery_percent, 37U);
}

TEST(Pressure, AContainersGroupIsTheRootOfItsMount) {
  PlantedFiles files = test::container();
  const Pressure pressure = read_pressure(files);
  EXPECT_EQ(pressure.group, (GroupMemory{8'000'000, 6'000'000, 5, 2}));
  EXPECT_FALSE(pressure.group_stalls);
  files.put("/proc/self/cgroup", "4:memory:/../../elsewhere\n");
  EXPECT_EQ(read_pressure(files).group, pressure.group);
}

TEST(Pressure, TheTightestGroupIsTheOneWithTheLeastRoom) {
  PlantedFiles files = test::phone();
  files.put("/sys/fs/cgroup/apps/robot/skein/memory.max", "1000000\n");
  EXPECT_EQ(read_pressure(files).group->limit_bytes, 1'000'000U);
  files.put("/sys/fs/cgroup/apps/memory.current", "49999999\n")
      .put("/sys/fs/cgroup/apps/memory.stat", "");
  EXPECT_EQ(read_pressure(files).group->limit_bytes, 50'000'000U);
}

TEST(Pressure, AChargerThatIsThereCountsAsNoBattery) {
  PlantedFiles files = test::phone();
  files.put("/sys/class/power_supply/usb/online", "1\n");
  EXPECT_FALSE(read_pressure(files).on_battery);
  EXPECT_EQ(read_pressure(files).battery_percent, 37U);
}

TEST(Pressure, HeatIsThatOfTheHighestTripPointPassed) {
  PlantedFiles files = test::phone();
  const auto at = [&](const char* degrees) {
    files.put("/sys/class/thermal/thermal_zone1/temp", degrees);
    return read_pressure(files).heat;
  };
  EXPECT_EQ(at("89999\n"), Heat::kCool);  // an active trip point only turns a fan on
  EXPECT_EQ(at("90000\n"), Heat::kHot);
  EXPECT_EQ(at("110000\n"), Heat::kCritical);
  files.put("/sys/class/thermal/thermal_zone1/trip_point_2_temp", "-274000\n");  // switched off
  EXPECT_EQ(at("110000\n"), Heat::kHot);
  EXPECT_EQ(at(""), Heat::kCool);
}

TEST(Pressure, AMachineThatSaysNothingPressesNobody) {
  PlantedFiles files;
  EXPECT_EQ(read_pressure(files), Pressure{});
}

TEST(Pressure, HiddenMountsAreLookedForInTheUsualPlaces) {
  PlantedFiles files = test::phone();
  files.files.erase("/proc/self/mountinfo");
  EXPECT_EQ(read_pressure(files).group->limit_bytes, 50'000'000U);
}

TEST(Pressure, WhatMakesNoSenseIsLeftOutByItself) {
  PlantedFiles files = test::phone();
  files.put("/proc/pressure/memory", "some avg10=nan total=1\nfull avg10=0 total=2\n")
      .put("/proc/meminfo", "MemAvailable: 99999999999999999999 kB\n")
      .put("/proc/self/status", "VmHWM: 5 kB\nVmRSS: much\n")
      .put("/sys/class/power_supply/BAT0/capacity", "101\n");
  const Pressure pressure = read_pressure(files);
  EXPECT_FALSE(pressure.machine_stalls);
  EXPECT_FALSE(pressure.available_bytes);
  EXPECT_FALSE(pressure.process);
  EXPECT_FALSE(pressure.battery_percent);
  EXPECT_EQ(pressure.group->limit_bytes, 50'000'000U);
  EXPECT_EQ(pressure.heat, Heat::kHot);
}

void damage(std::string& text, std::mt19937& random) {
  static constexpr std::string_view kBytes = "0123456789 \n:/.,-=x\xFF";
  for (std::size_t edits = 1 + random() % 4; edits > 0 && !text.empty(); --edits) {
    const std::size_t at = random() % text.size();
    switch (random() % 4) {
      case 0:
        text[at] = kBytes[random() % kBytes.size()];
        break;
      case 1:
        text.erase(at, 1 + random() % 5);
        break;
      case 2:
        text.insert(at, text.substr(0, random() % 30));
        break;
      default:
        text.resize(at);
    }
  }
}

TEST(Pressure, DamagedFilesGiveOnlyWhatCanBe) {
  std::mt19937 random(5);
  for (int round = 0; round < 4000; ++round) {
    PlantedFiles files = round % 2 == 0 ? test::phone() : test::container();
    for (auto& [path, text] : files.files) {
      if (random() % 3 == 0) damage(text, random);
    }
    const Pressure pressure = read_pressure(files);
    for (const auto& stalls : {pressure.machine_stalls, pressure.group_stalls}) {
      if (!stalls) continue;
      EXPECT_TRUE(stalls->some_share >= 0 && stalls->some_share <= 1);
      EXPECT_TRUE(stalls->full_share >= 0 && stalls->full_share <= 1);
      EXPECT_GE(stalls->some.count(), 0);
      EXPECT_GE(stalls->full.count(), 0);
    }
    if (pressure.group) EXPECT_LT(pressure.group->limit_bytes, 1ULL << 60U);
    EXPECT_LE(pressure.battery_percent.value_or(0), 100U);
    EXPECT_LT(files.reads, 400);
  }
}

TEST(Pressure, PathsWithoutAnEndAreClimbedOnlySoFar) {
  PlantedFiles files = test::phone();
  std::string deep = "0::";
  for (int i = 0; i < 20'000; ++i) deep += "/a";
  files.put("/proc/self/cgroup", deep + "\n");
  EXPECT_FALSE(read_pressure(files).group);
  EXPECT_LT(files.reads, 200);
}

TEST(Pressure, TriggersAreOfTheMachineAndOfTheOwnGroupWhereTheKernelHasThem) {
  const std::string tenth = "some 200000 2000000";
  test::PlantedFiles files = test::phone();
  const std::string group = "/sys/fs/cgroup/apps/robot/skein";
  EXPECT_EQ(pressure_triggers(files),
            (std::vector<PressureTrigger>{{"/proc/pressure/memory", tenth},
                                          {group + "/memory.pressure", tenth},
                                          {group + "/memory.events", ""}}));
  test::PlantedFiles nothing;
  EXPECT_EQ(pressure_triggers(nothing),
            (std::vector<PressureTrigger>{{"/proc/pressure/memory", tenth}}));
}

TEST(RealEnv, TheGaugeReadsThisMachine) {
  RealEnv real({.compute_threads = 1, .log_level = LogLevel::kError});
  const Pressure first = real.env().pressure.sample();
  const Pressure second = real.env().pressure.sample();
  ASSERT_TRUE(first.available_bytes);  // every Linux has it
  EXPECT_GT(*first.available_bytes, 0U);
  EXPECT_EQ(first.machine_stalls.has_value(), second.machine_stalls.has_value());
  if (first.machine_stalls) EXPECT_LE(first.machine_stalls->some, second.machine_stalls->some);
}

// Of the heap, what lies below a block that is still in use, too; and program text.
TEST(Pressure, AProcessGivesBackWhatItDoesNotNeed) {
  RealEnv real({.compute_threads = 1});
  PressureGauge& gauge = real.env().pressure;
  constexpr std::size_t kBlock = 4096;
  std::vector<std::vector<std::byte>> blocks(4096);
  for (auto& block : blocks) block.assign(kBlock, std::byte{1});
  blocks.erase(blocks.begin(), blocks.end() - 1);
  const auto before = gauge.sample().process;
  gauge.give_back();
  const auto after = gauge.sample().process;
  ASSERT_TRUE(before && after);
  const std::uint64_t freed = std::uint64_t{4096} * kBlock;
  EXPECT_LT(after->resident_bytes + freed / 2, before->resident_bytes);
  // What it will hold counts the text that comes back, never more than there has been.
  EXPECT_GT(after->without_model(), after->resident_bytes);
  EXPECT_LE(after->without_model(), after->peak_bytes);
  EXPECT_EQ((ProcessMemory{100, 200}.without_model()), 200U);
  gauge.give_back();
  EXPECT_EQ(blocks.back(), std::vector<std::byte>(kBlock, std::byte{1}));
}

}  // namespace
}  // namespace skein
