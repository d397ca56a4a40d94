#include "simulations/scenarios/scenario.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace skein {
namespace {

std::string refusal(std::string_view text) {
  const auto scenario = parse_scenario(text, "story.toml");
  return scenario ? "" : to_string(scenario.error());
}

TEST(Scenario, TheShippedStoryParses) {
  std::ifstream in(std::string(SKEIN_SOURCE_DIR) + "/simulations/scenarios/first_walk.toml");
  std::stringstream text;
  text << in.rdbuf();
  const auto scenario = parse_scenario(text.str(), "first_walk.toml");
  ASSERT_TRUE(scenario) << to_string(scenario.error());
  EXPECT_EQ(scenario->devices, 50U);
  EXPECT_GT(scenario->faults.link.loss, 0);
}

TEST(Scenario, UnknownKeysAndSectionsAreRefusedWithTheirLine) {
  EXPECT_NE(refusal("[fleet]\ndevises = 3\n").find("story.toml, line 2"), std::string::npos);
  EXPECT_NE(refusal("[fleets]\n").find("there is no section [fleets]"), std::string::npos);
  EXPECT_NE(refusal("[faults]\nlots = 1\n").find("line 2"), std::string::npos);
}

TEST(Scenario, ValuesOutOfBoundsOrOfTheWrongKindAreRefused) {
  EXPECT_NE(refusal("[fleet]\ndevices = 0\n").find("out of bounds"), std::string::npos);
  EXPECT_NE(refusal("[fleet]\ndevices = \"many\"\n").find("not a number"), std::string::npos);
  EXPECT_NE(refusal("[faults]\nloss = 2\n"), "");
  EXPECT_NE(refusal("[fleet]\ndevices = 2\n[story]\nround_devices = 3\n"), "");
  EXPECT_NE(refusal("[fleet\n").find("line 1"), std::string::npos);
}

}  // namespace
}  // namespace skein
