// What the tests of the model commands share: the commands on a bench, the golden model as a
// checkpoint and as an artifact with its vocabulary.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json/parse.hpp>

#include "common/artifact/artifact_file.h"
#include "edge_node/tool/commands.h"
#include "tests/support/tool_bench.h"

namespace skein::test {

class ModelCommands : public testing::Test {
 protected:
  ModelCommands() {
    artifact_ = bench_.path("tiny.skein");
    write_golden(artifact_, std::nullopt);
  }

  void write_golden(const std::string& path, const std::optional<SigningKey>& key,
                    PageCoding coding = PageCoding::kPlain) {
    const auto pages = golden_artifact();
    RealEnv real({.compute_threads = 1});
    const auto written = real.run(write_artifact(real.env().disk, path, *pages, key, coding));
    ASSERT_TRUE(written) << to_string(written.error());
  }
  // Runs and expects all to go well; standard output.
  std::string run(const std::vector<std::string>& words, const std::string& input = {}) {
    const auto outcome = bench_.run(words, input);
    EXPECT_TRUE(outcome.result) << outcome.sentence();
    return outcome.out;
  }
  boost::json::object run_json(const std::vector<std::string>& words) {
    const std::string out = run(words);
    EXPECT_EQ(std::ranges::count(out, '\n'), 1) << out;
    return boost::json::parse(out).as_object();
  }
  // One sentence with a place and a remedy, this exit code, nothing on standard output.
  void expect_refused(const std::vector<std::string>& words, int code, const std::string& part) {
    const auto outcome = bench_.run(words);
    EXPECT_EQ(outcome.code(), code) << outcome.sentence();
    EXPECT_NE(outcome.sentence().find(part), std::string::npos) << outcome.sentence();
    EXPECT_EQ(outcome.sentence().find('\n'), std::string::npos) << outcome.sentence();
    EXPECT_EQ(outcome.out, "");
    ASSERT_FALSE(outcome.result);
    EXPECT_FALSE(outcome.result.error().where.empty()) << outcome.sentence();
    EXPECT_FALSE(outcome.result.error().remedy.empty()) << outcome.sentence();
  }

  ToolBench bench_{add_model_commands};
  std::string artifact_;
  std::string checkpoint_ = bench_.golden("tiny-64-f32.safetensors");
  std::string vocabulary_ = bench_.golden("tiny-vocab.txt");
};

}  // namespace skein::test
