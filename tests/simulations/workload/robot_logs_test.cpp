#include "simulations/workload/robot_logs.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace skein {
namespace {

TEST(RobotLogs, SameSeedSameTextAndOtherSeedOtherText) {
  EXPECT_EQ(robot_log(1, 50, 7), robot_log(1, 50, 7));
  EXPECT_NE(robot_log(1, 50, 7), robot_log(1, 50, 8));
}

TEST(RobotLogs, EveryDialectSpeaksItsOwnWayInOneLinePerEvent) {
  for (unsigned dialect = 0; dialect < kLogDialects; ++dialect) {
    const std::string text = robot_log(dialect, 20, 3);
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 20);
  }
  EXPECT_NE(robot_log(0, 1, 3).find("task="), std::string::npos);
  EXPECT_NE(robot_log(1, 1, 3).find("was told to"), std::string::npos);
  EXPECT_NE(robot_log(2, 1, 3).find("over"), std::string::npos);
}

}  // namespace
}  // namespace skein
