#include "edge_node/app/config.h"

#include <gtest/gtest.h>

namespace skein {
namespace {

TEST(EdgeConfig, TakesEveryKeyFromAFile) {
  EdgeConfig config;
  const auto read = read_config(config, R"(
[node]
name = "arm-1"
data_dir = "/tmp/x"
threads = 2
[http]
listen = "127.0.0.1:1"
[coordinator]
address = "10.0.0.1:7070"
token_file = "t"
[split]
first_layer = 3
[learn]
text = "log.txt"
consent = true
max_update_norm = 2.5
[log]
level = "warn"
format = "json"
[labels]
hall = "b"
)",
                                "edge.toml");
  ASSERT_TRUE(read) << to_string(read.error());
  EXPECT_EQ(config.name, "arm-1");
  EXPECT_EQ(config.threads, 2U);
  EXPECT_EQ(config.first_layer, 3U);
  EXPECT_TRUE(config.consent);
  EXPECT_EQ(config.max_update_norm, 2.5);
  EXPECT_EQ(config.log_level, LogLevel::kWarn);
  EXPECT_TRUE(config.log_json);
  EXPECT_EQ(config.labels, (std::vector<std::pair<std::string, std::string>>{{"hall", "b"}}));
  EXPECT_TRUE(check_config(config));
}

TEST(EdgeConfig, NamesKeyAndFileOfWhatItDoesNotKnow) {
  const auto error_of = [](std::string_view toml) {
    EdgeConfig config;
    const auto read = read_config(config, toml, "edge.toml");
    EXPECT_FALSE(read) << toml;
    return read ? std::string() : to_string(read.error());
  };
  EXPECT_NE(error_of("[node]\nnmae = \"x\"\n").find("[node] nmae (edge.toml line 2)"),
            std::string::npos);
  EXPECT_NE(error_of("[nod]\nname = \"x\"\n").find("[nod] (edge.toml)"), std::string::npos);
  EXPECT_NE(error_of("name = \"x\"\n").find("edge.toml"), std::string::npos);
  EXPECT_NE(error_of("[split]\nfirst_layer = -1\n").find("[split] first_layer"), std::string::npos);
  EXPECT_NE(error_of("[learn]\nconsent = \"yes\"\n").find("true or false"), std::string::npos);
  EXPECT_NE(error_of("[node]\nthreads = [1]\n").find("[node] threads"), std::string::npos);
  EXPECT_NE(error_of("[node\n").find("not TOML"), std::string::npos);
}

TEST(EdgeConfig, TakesAMemoryBudgetInBytesOrWithAUnit) {
  const auto budget_of = [](const std::string& size) -> std::uint64_t {
    EdgeConfig config;
    const auto set = apply_setting(config, "node.memory_budget=" + size);
    if (!set) EXPECT_NE(to_string(set.error()).find("a size like 300M"), std::string::npos);
    return set ? config.memory_budget : 0;
  };
  EXPECT_EQ(EdgeConfig().memory_budget, 0U);
  EXPECT_EQ(budget_of("70000000"), 70'000'000U);
  EXPECT_EQ(budget_of("64K"), 64U << 10U);
  EXPECT_EQ(budget_of("300m"), 300U << 20U);
  EXPECT_EQ(budget_of("2G"), std::uint64_t{2} << 30U);
  EXPECT_EQ(budget_of("1.5G"), std::uint64_t{3} << 29U);
  EXPECT_EQ(budget_of("64MB"), 64U << 20U);
  for (const char* bad : {"", "0", "-1", "M", "1X", "1MBB", ".5G", "9999999999999G", "1 M"}) {
    EXPECT_EQ(budget_of(bad), 0U) << bad;
  }
  EdgeConfig config;
  ASSERT_TRUE(read_environment(config, {{"SKEIN_NODE_MEMORY_BUDGET", "5M"}}));
  EXPECT_EQ(config.memory_budget, 5U << 20U);
}

TEST(EdgeConfig, LetsTheEnvironmentAndSettingsOverrule) {
  EdgeConfig config;
  ASSERT_TRUE(read_config(config, "[node]\nname = \"file\"\n", "f"));
  ASSERT_TRUE(read_environment(config, {{"SKEIN_NODE_NAME", "env"}, {"SKEIN_ISA", "scalar"}}));
  EXPECT_EQ(config.name, "env");
  ASSERT_TRUE(apply_setting(config, "node.name=a=b"));
  EXPECT_EQ(config.name, "a=b");
  const auto flag = apply_setting(config, "node.memory_budget=4oM", "--memory-budget");
  ASSERT_FALSE(flag);
  EXPECT_EQ(flag.error().where, "--memory-budget");
  EXPECT_FALSE(apply_setting(config, "node.name"));
  EXPECT_FALSE(apply_setting(config, "node=x.y"));
  EXPECT_FALSE(read_environment(config, {{"SKEIN_LOG_LEVEL", "loud"}}));
}

TEST(EdgeConfig, ListensBeyondThisMachineOnlyWhenToldThatItIsInsecure) {
  EdgeConfig config;
  config.listen = "0.0.0.0:7080";
  EXPECT_FALSE(check_config(config));
  config.insecure = true;
  EXPECT_TRUE(check_config(config));
  config.listen = "nonsense";
  EXPECT_FALSE(check_config(config));
}

TEST(EdgeConfig, RefusesTwoTokens) {
  EdgeConfig config;
  config.token = "a";
  config.token_file = "b";
  EXPECT_FALSE(check_config(config));
}

}  // namespace
}  // namespace skein
