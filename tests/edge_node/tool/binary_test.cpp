// The program itself, beside this test: exit codes and the one line on standard error.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/program.h"

namespace skein {
namespace {

std::string program() {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "skein").string();
}

using test::shown;
using test::Shown;

// "skein: <what> (<where>): <remedy>", and nothing else.
void expect_one_line(const Shown& result, const std::string& about) {
  EXPECT_TRUE(result.text.starts_with("skein: ")) << about << "\n" << result.text;
  EXPECT_EQ(result.text.find('\n'), result.text.size() - 1) << about << "\n" << result.text;
  EXPECT_NE(result.text.find("): "), std::string::npos) << about << "\n" << result.text;
}

TEST(Program, StandsBesideItsTests) { ASSERT_TRUE(std::filesystem::exists(program())); }

TEST(Program, HelpsWithEveryCommand) {
  for (const char* command :
       {"", "import", "compress", "delta", "delta make", "delta apply", "keys", "keys new",
        "inspect", "verify", "tokenize", "detokenize", "logits", "generate", "chat", "eval"}) {
    const Shown result = shown(std::string(command) + " --help");
    EXPECT_EQ(result.code, 0) << command << "\n" << result.text;
    EXPECT_NE(result.text.find("--help"), std::string::npos) << command;
  }
  EXPECT_EQ(shown("--version").code, 0);
}

TEST(Program, AMistypedLineIsAUsageErrorInOneSentence) {
  for (const char* line : {"", "generat x", "generate", "generate m --temprature 0 -p a",
                           "generate m -p a -n many", "delta", "delta mak a b", "keys nev",
                           "logits m --tokens", "eval m --text t --context 0", "--no-such"}) {
    const Shown result = shown(line);
    EXPECT_EQ(result.code, 2) << line << "\n" << result.text;
    expect_one_line(result, line);
  }
  EXPECT_NE(shown("generat x").text.find("generat"), std::string::npos);
}

TEST(Program, AMissingModelIsBadInputInOneSentence) {
  for (const char* line : {"inspect /nonexistent.skein", "verify /nonexistent.skein",
                           "generate /nonexistent.skein -p a", "delta make /nonexistent.a b -o c",
                           "import /nonexistent.pth -o out.skein"}) {
    const Shown result = shown(line);
    EXPECT_EQ(result.code, 3) << line;
    expect_one_line(result, line);
    EXPECT_NE(result.text.find("/nonexistent"), std::string::npos) << result.text;
  }
}

}  // namespace
}  // namespace skein
