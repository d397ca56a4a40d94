// The tool's commands against a coordinator that really listens.
#include "coordinator/app/commands.h"

#include "coordinator/app/internal/tables.h"
#include "tests/coordinator/support/coordinator_house.h"
#include "tests/support/sample_artifact.h"

namespace skein {
namespace {

using test::CoordinatorHouse;
using test::WireDevice;

struct Outcome {
  int exit = 0;
  std::string out, err;
  Error error;
};

// As main does it: parse, run, and the exit code of the error.
Outcome tool(CoordinatorHouse& house, const std::string& line, bool with_access = true) {
  CLI::App app{"skein"};
  Command chosen;
  add_coordinator_commands(app, chosen);
  std::string full = line;
  if (with_access) {
    full += " --coordinator http://" + to_string(house.coordinator->admin_endpoint()) +
            " --token-file " + house.coordinator->admin_token_path();
  }
  try {
    app.parse(full);
  } catch (const CLI::ParseError& error) {
    return {2, "", error.what(), {}};
  }
  std::istringstream in;
  std::ostringstream out;
  std::ostringstream err;
  Terminal terminal{in, out, err};
  const auto done = house.real.run(chosen.run(house.real.env(), terminal));
  if (done) return {0, out.str(), err.str(), {}};
  return {exit_code(done.error().code), out.str(), err.str(), done.error()};
}

TEST(CoordinatorCommands, AnOperatorsDay) {
  CoordinatorHouse house;
  WireDevice device(house, 1);
  const Outcome token = tool(house, "device token --ttl 60");
  ASSERT_EQ(token.out.size(), 32U + 1 + 64 + 1) << "the token and a newline, for scripts";
  ASSERT_TRUE(device.enrol(token.out.substr(0, token.out.size() - 1)));
  EXPECT_NE(tool(house, "device ls").out.find("arm   active"), std::string::npos)
      << tool(house, "device ls").out;
  EXPECT_EQ(tool(house, "device label 1 site=lab").exit, 0);
  EXPECT_NE(tool(house, "device show 1").out.find("site=lab"), std::string::npos);

  auto sample = test::sample_artifact(1);
  const std::string file = house.folder.path("sample.skein");
  ASSERT_TRUE(house.real.run(write_artifact(house.real.env().disk, file, sample, std::nullopt)));
  const Outcome published = tool(house, "model publish " + file + " -o json");
  const std::string digest =
      boost::json::parse(published.out).as_object().at("digest").as_string().c_str();
  EXPECT_NE(tool(house, "model ls").out.find(digest.substr(0, 12)), std::string::npos);
  EXPECT_NE(tool(house, "model show " + digest.substr(0, 8)).out.find("rwkv7"), std::string::npos);

  EXPECT_EQ(tool(house, "rollout create " + digest).exit, 0);
  EXPECT_EQ(tool(house, "rollout start 1").exit, 0);
  Heartbeat said;
  said.active = Digest::from_hex(digest);
  ASSERT_TRUE(device.beat(said));
  const Outcome status = tool(house, "rollout status --watch -o json");
  EXPECT_EQ(status.exit, 0) << to_string(status.error);
  EXPECT_EQ(boost::json::parse(status.out).as_object().at("state").as_string(), "finished");
  EXPECT_EQ(tool(house, "session ls").out.substr(0, 7), "SESSION");
  EXPECT_EQ(tool(house, "round ls").exit, 0);
  EXPECT_EQ(tool(house, "device cordon 1").exit, 0);
  EXPECT_EQ(tool(house, "device cordon 1 --off").exit, 0);
  EXPECT_EQ(tool(house, "device revoke 1").exit, 0);
}

TEST(CoordinatorCommands, ExitCodesSayWhatHappened) {
  CoordinatorHouse house;
  EXPECT_EQ(tool(house, "device show 9").exit, 3);
  EXPECT_EQ(tool(house, "rollout status").exit, 3) << "there are none yet";
  EXPECT_EQ(tool(house, "device paint 9").exit, 2);
  EXPECT_EQ(tool(house, "device ls -o xml").exit, 2);
  EXPECT_EQ(tool(house, "device label 1 nonsense").exit, 2);
  EXPECT_EQ(tool(house, "device token --ttl 0").exit, 2);
  EXPECT_EQ(tool(house, "model publish /nowhere.skein").exit, 3);
  EXPECT_EQ(tool(house, "model publish " + house.coordinator->admin_token_path()).exit, 3);

  const std::string other = house.folder.path("other.token");
  std::ofstream(other) << std::string(64, '0') << "\n";
  const std::string there =
      " --coordinator http://" + to_string(house.coordinator->admin_endpoint());
  EXPECT_EQ(tool(house, "device ls --token-file " + other + there, false).exit, 4);
  const std::string nobody = " --coordinator http://127.0.0.1:1";
  EXPECT_EQ(tool(house, "device ls --token-file " + other + nobody, false).exit, 5);
  EXPECT_EQ(tool(house, "device ls --token-file " + other + " --coordinator nonsense", false).exit,
            2);
}

TEST(CoordinatorCommands, ARolloutWithFailedDevicesIsNotASuccess) {
  CoordinatorHouse house;
  WireDevice device(house, 1);
  ASSERT_TRUE(device.enrol(house.enrol_token()));
  auto sample = test::sample_artifact(1);
  const Digest digest = house.publish(sample);
  ASSERT_EQ(tool(house, "rollout create " + digest.hex() + " --start").exit, 0);
  Heartbeat said;
  ASSERT_TRUE(device.beat(said));
  said.steps = {{RolloutId{1}, digest, DeviceStep::kFailed, "disk: full", 0, 0}};
  ASSERT_TRUE(device.beat(said));
  const Outcome watched = tool(house, "rollout status 1 --watch");
  EXPECT_EQ(watched.exit, 1);
  EXPECT_NE(watched.out.find("disk: full"), std::string::npos) << watched.out;
}

TEST(Tables, ShowTimesDigestsAndCountsForPeople) {
  namespace json = boost::json;
  EXPECT_EQ(admin::cell_of("changed", json::value(1'763'800'000)), "2025-11-22 08:26:40");
  EXPECT_EQ(admin::cell_of("started", json::value(0)), "-");
  EXPECT_EQ(admin::cell_of("artifact", json::value(std::string(64, 'a'))), std::string(12, 'a'));
  EXPECT_EQ(admin::cell_of("counts", json::object({{"committed", 3}, {"failed", 0}})),
            "committed 3");
  EXPECT_EQ(admin::cell_of("x", nullptr), "-");
  const json::array rows = {json::object({{"id", 1}, {"name", "arm"}}),
                            json::object({{"id", 22}, {"name", "rover"}})};
  EXPECT_EQ(admin::table_of(rows, {"id", "name", "gone"}),
            "ID  NAME   GONE\n1   arm    -\n22  rover  -\n");
}

}  // namespace
}  // namespace skein
