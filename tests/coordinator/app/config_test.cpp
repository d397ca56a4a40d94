#include "coordinator/app/config.h"

#include <gtest/gtest.h>

#include <map>

namespace skein {
namespace {

TEST(CoordinatorConfig, ReadsEverySectionOfAFile) {
  CoordinatorConfig config;
  const auto read = apply_toml(config, R"(
[daemon]
data_dir = "/srv/skein"
log_level = "debug"
[devices]
listen = "0.0.0.0:7070"
hosts = ["fleet.local", "10.0.0.7"]
heartbeat_ms = 250
[admin]
listen = "127.0.0.1:0"
[rounds]
held_out = "held_out.txt"
)",
                               "c.toml");
  ASSERT_TRUE(read) << to_string(read.error());
  EXPECT_EQ(config.data_dir, "/srv/skein");
  EXPECT_EQ(config.device_listen, (Endpoint{"0.0.0.0", 7070}));
  EXPECT_EQ(config.hosts, (std::vector<std::string>{"fleet.local", "10.0.0.7"}));
  EXPECT_EQ(config.heartbeat_ms, 250U);
  EXPECT_EQ(config.admin_listen.port, 0);
  EXPECT_EQ(config.held_out, "held_out.txt");
}

TEST(CoordinatorConfig, NamesTheKeyAndTheFileThatIsWrong) {
  const std::pair<const char*, const char*> table[] = {
      {"[devices]\nheartbeat = 5\n", "devices.heartbeat"},
      {"[daemons]\n", "daemons"},
      {"loose = 1\n", "loose"},
      {"[devices]\nheartbeat_ms = 1\n", "devices.heartbeat_ms"},
      {"[devices]\nheartbeat_ms = \"soon\"\n", "devices.heartbeat_ms"},
      {"[devices]\nheartbeat_ms = 5.5\n", "devices.heartbeat_ms"},
      {"[devices]\nlisten = \"nowhere\"\n", "devices.listen"},
      {"[daemon]\nlog_level = \"loud\"\n", "daemon.log_level"},
      {"[daemon\n", "not TOML"},
  };
  for (const auto& [text, named] : table) {
    CoordinatorConfig config;
    const auto read = apply_toml(config, text, "c.toml");
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, Errc::kUsage);
    EXPECT_NE(to_string(read.error()).find(named), std::string::npos) << to_string(read.error());
    EXPECT_NE(read.error().where.find("c.toml"), std::string::npos) << read.error().where;
  }
}

TEST(CoordinatorConfig, TheEnvironmentWinsOverTheFile) {
  CoordinatorConfig config;
  ASSERT_TRUE(apply_toml(config, "[devices]\nheartbeat_ms = 250\n", "c.toml"));
  const std::map<std::string, std::string> variables = {{"SKEIN_DEVICES_HEARTBEAT_MS", "300"},
                                                        {"SKEIN_DEVICES_HOSTS", "a,b"},
                                                        {"SKEIN_DAEMON_INSECURE", "true"}};
  const EnvironmentLookup lookup = [&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
  ASSERT_TRUE(apply_environment(config, lookup));
  EXPECT_EQ(config.heartbeat_ms, 300U);
  EXPECT_EQ(config.hosts, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(config.insecure);
  const auto refused = apply_environment(
      config, [](const std::string& name) { return std::optional<std::string>(name); });
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().where.find("SKEIN_"), std::string::npos);
}

TEST(CoordinatorConfig, AnOpenAdminPortNeedsInsecure) {
  CoordinatorConfig config;
  EXPECT_TRUE(check_config(config));
  ASSERT_TRUE(apply_setting(config, "admin", "listen", "0.0.0.0:7071"));
  EXPECT_EQ(check_config(config).error().code, Errc::kRefused);
  config.insecure = true;
  EXPECT_TRUE(check_config(config));
}

}  // namespace
}  // namespace skein
