// What the tests of the press's commands share: the commands on a bench, a checkpoint and its
// vocabulary. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

#include "common/artifact/artifact_file.h"
#include "common/crypto/sha256.h"
#include "coordinator/compress/commands.h"
#include "tests/support/tool_bench.h"

namespace skein::test {

class CompressCommands : public testing::Test {
 protected:
  std::string run(const std::vector<std::string>& words) {
    const auto outcome = bench_.run(words);
    EXPECT_TRUE(outcome.result) << outcome.sentence();
    return outcome.out;
  }
  boost::json::object run_json(const std::vector<std::string>& words) {
    return boost::json::parse(run(words)).as_object();
  }
  void expect_refused(const std::vector<std::string>& words, int code, const std::string& part) {
    const auto outcome = bench_.run(words);
    EXPECT_EQ(outcome.code(), code) << outcome.sentence();
    EXPECT_NE(outcome.sentence().find(part), std::string::npos) << outcome.sentence();
    EXPECT_EQ(outcome.out, "");
    ASSERT_FALSE(outcome.result);
    EXPECT_FALSE(outcome.result.error().remedy.empty()) << outcome.sentence();
  }
  std::string imported(const std::string& name) {
    run({"import", checkpoint_, "-o", bench_.path(name), "--vocab", vocabulary_, "--name", "tiny"});
    return bench_.path(name);
  }
  std::unique_ptr<ArtifactFile> open(const std::string& name) {
    RealEnv real({.compute_threads = 1});
    auto file = open_artifact(real.env().disk, bench_.path(name));
    CHECK(file.has_value());
    return std::move(*file);
  }

  ToolBench bench_{add_compress_commands};
  std::string checkpoint_ = bench_.golden("tiny-64-f32.safetensors");
  std::string vocabulary_ = bench_.golden("tiny-vocab.txt");
};

}  // namespace skein::test
