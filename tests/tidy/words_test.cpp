// Banned calls and names: each with what to use instead.
#include <gtest/gtest.h>

#include <regex>

#include "tests/tidy/source_tree.h"

namespace skein::tidy {
namespace {

struct Ban {
  const char* pattern;
  const char* instead;
};

const Ban kWorldBans[] = {
    {R"((system|steady|high_resolution)_clock::now)", "env.clock"},
    {R"(std::j?thread\b)", "env.compute"},
    {R"(std::this_thread)", "env.clock.sleep_until"},
    {R"(std::(i|o)?fstream|\bfopen\(|\bopen\(2)", "env.disk"},
    {R"(\bs?rand\(|random_device|mt19937)", "env.random"},
    {R"(::socket\(|ip::tcp\b)", "env.network"},
    {R"(\bgetenv\()", "pass it from main"},
    {R"(\bstd::cout|\bstd::cerr|\bprintf\()", "Terminal or Log"},
};
const Ban kAlways[] = {
    {R"(\b(strcpy|sprintf|strcat|atoi|atof|gets)\()", "the checked C++ form"},
    {R"(\busing namespace std;)", "qualified names"},
    {R"(TODO(?!\(#\d+\)))", "TODO(#12): why"},
    {R"(\bFIXME\b|\bXXX\b|\bHACK\b)", "an issue"},
    {R"(DISABLED_)", "a test that runs"},
    {R"(co_await\s+[\w.:>-]+\(\s*(\w+\s*)?\{\s*\.)", "name it, then await it"},
};
const Ban kArithmetic[] = {
    {R"(std::(exp|expf|log|logf|tanh|pow|powf|sin|cos|erf|exp2|log2|fma)\b)",
     "kernels/ops/activations.h: libm differs between machines"},
};

template <std::size_t N>
void look_for(const Ban (&bans)[N], const SourceFile& file, Findings& findings) {
  for (const Ban& ban : bans) {
    const std::regex pattern(ban.pattern);
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      const std::string& line = file.lines[i];
      const std::string code = line.substr(0, line.find("//"));
      const bool in_comment_too = std::string(ban.pattern).find("TODO") != std::string::npos ||
                                  std::string(ban.pattern).find("FIXME") != std::string::npos;
      if (std::regex_search(in_comment_too ? line : code, pattern)) {
        findings.add(file, i + 1, "banned", std::string(ban.pattern) + ": use " + ban.instead);
      }
    }
  }
}

TEST(Tidy, BannedCallsStayOut) {
  Findings findings;
  for (const SourceFile& file : read_tree()) {
    if (file.path.starts_with("tests/tidy/")) continue;
    const bool world = file.path.starts_with("common/env/real/");
    const bool program = file.path.ends_with("main.cpp") || file.path.starts_with("deploy/");
    if (!world && !program && !file.is_test()) look_for(kWorldBans, file, findings);
    look_for(kAlways, file, findings);
    const std::string room = room_of(file.path);
    if (room == "kernels/ops" || room == "kernels/isa" || room == "common/model") {
      look_for(kArithmetic, file, findings);
    }
  }
  EXPECT_EQ(findings.text(), "");
}

TEST(Tidy, FilesAreNamedAfterTheNounInside) {
  Findings findings;
  const std::regex vague(R"((^|[/_])(utils?|manager|helpers?|misc)([_./]|$))");
  const std::regex snake(R"(^[a-z0-9_/]+\.(h|cpp)$)");
  for (const SourceFile& file : read_tree()) {
    if (std::regex_search(file.path, vague)) findings.add(file, 0, "name", "says nothing");
    if (!std::regex_match(file.path, snake)) findings.add(file, 0, "name", "not snake_case");
  }
  EXPECT_EQ(findings.text(), "");
}

TEST(Tidy, TheFindersFindWhatTheyLookFor) {
  Findings findings;
  const SourceFile bad{"common/model/bad.cpp",
                       {"auto t = std::chrono::steady_clock::now();", "float y = std::exp(x);"}};
  look_for(kWorldBans, bad, findings);
  look_for(kArithmetic, bad, findings);
  EXPECT_NE(findings.text().find("bad.cpp:1:"), std::string::npos);
  EXPECT_NE(findings.text().find("bad.cpp:2:"), std::string::npos);
}

}  // namespace
}  // namespace skein::tidy
