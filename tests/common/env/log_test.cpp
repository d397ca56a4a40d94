#include <gtest/gtest.h>

#include "common/env/real/internal/stderr_log.h"

namespace skein {
namespace {

TEST(StderrLog, TextIsOneLineWithQuotedValues) {
  EXPECT_EQ(real::text_line(LogLevel::kWarn, "slot committed",
                            {{"device", "d1"}, {"why", "a b\n\"c\""}, {"empty", ""}, {"n", 3}}),
            R"(warn  slot committed device=d1 why="a b\n\"c\"" empty="" n=3)");
}

TEST(StderrLog, JsonIsOneObjectWhateverTheBytes) {
  EXPECT_EQ(real::json_line(LogLevel::kInfo, "e", {{"k", std::string("\x01\\\n\"", 4)}}),
            R"("level":"info","event":"e","k":"\u0001\\\n\"")");
}

TEST(StderrLog, LevelsAndFormatsHaveNames) {
  EXPECT_EQ(parse_log_level("warn"), LogLevel::kWarn);
  EXPECT_EQ(parse_log_level("loud"), std::nullopt);
  EXPECT_EQ(parse_log_format("json"), LogFormat::kJson);
  EXPECT_EQ(parse_log_format("xml"), std::nullopt);
}

}  // namespace
}  // namespace skein
