// Small files behind narrow doors: the limits of HOUSE 2.5, as a test.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "tests/tidy/source_tree.h"

namespace skein::tidy {
namespace {

TEST(Tidy, FilesStayWithinTheirSize) {
  Findings findings;
  for (const SourceFile& file : read_tree()) {
    const std::size_t limit = file.is_test() ? 600 : file.is_header() ? 250 : 500;
    if (file.lines.size() > limit) {
      findings.add(file, file.lines.size(), "file-size",
                   "more than " + std::to_string(limit) + " lines");
    }
  }
  EXPECT_EQ(findings.text(), "");
}

// Columns, not bytes: UTF-8 continuation bytes do not count.
std::size_t columns(const std::string& line) {
  return static_cast<std::size_t>(std::count_if(line.begin(), line.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

TEST(Tidy, LinesStayWithinAHundredColumns) {
  Findings findings;
  for (const SourceFile& file : read_tree()) {
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      const bool is_include = file.lines[i].starts_with("#include");
      const bool is_address = file.lines[i].find("https://") != std::string::npos;
      if (columns(file.lines[i]) > 100 && !is_include && !is_address) {
        findings.add(file, i + 1, "columns", std::to_string(columns(file.lines[i])) + " columns");
      }
    }
  }
  EXPECT_EQ(findings.text(), "");
}

// In clang-format's layout a function's body opens with a line that ends in `{` and closes with a
// `}` at the same indentation. Namespaces and types are told by their first word.
bool opens_function(const std::string& line) {
  if (!line.ends_with("{") || line.find('(') == std::string::npos) return false;
  const std::size_t start = line.find_first_not_of(' ');
  const std::string text = line.substr(start);
  for (const char* word :
       {"namespace", "struct", "class", "enum", "union", "if", "for", "while", "switch", "else",
        "do", "}", "extern", "return", "co_return", "TEST", "case"}) {
    if (text.starts_with(word)) return false;
  }
  return start == 0 || start == 2;
}

TEST(Tidy, FunctionsStayWithinSeventyLines) {
  Findings findings;
  for (const SourceFile& file : read_tree()) {
    if (file.is_test()) continue;
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      if (!opens_function(file.lines[i])) continue;
      const std::string close = std::string(file.lines[i].find_first_not_of(' '), ' ') + "}";
      std::size_t end = i + 1;
      while (end < file.lines.size() && !file.lines[end].starts_with(close)) ++end;
      if (end - i > 70) {
        findings.add(file, i + 1, "function-size", std::to_string(end - i) + " lines");
      }
    }
  }
  EXPECT_EQ(findings.text(), "");
}

TEST(Tidy, HeadersOpenWithWhatTheyAreAndGuardThemselves) {
  Findings findings;
  for (const SourceFile& file : read_tree()) {
    if (!file.is_header()) continue;
    if (file.lines.empty() || !file.lines.front().starts_with("//")) {
      findings.add(file, 1, "header-comment",
                   "say what it is, who owns it, which thread may call it");
    }
    const bool guarded =
        std::find(file.lines.begin(), file.lines.end(), "#pragma once") != file.lines.end();
    if (!guarded) findings.add(file, 1, "pragma-once", "no #pragma once");
  }
  EXPECT_EQ(findings.text(), "");
}

TEST(Tidy, RoomsHaveAtMostSixDoorsAndAReadme) {
  std::map<std::string, int> doors;
  std::string wrong;
  for (const SourceFile& file : read_tree()) {
    const bool product = !file.is_test() && !file.path.starts_with("deploy/");
    const bool internal = file.path.find("/internal/") != std::string::npos;
    if (product && file.is_header() && !internal) ++doors[room_of(file.path)];
  }
  for (const auto& [room, count] : doors) {
    const int limit = room == "common/base" ? 7 : room.starts_with("kernels/") ? 10 : 6;
    if (count > limit) wrong += room + ": " + std::to_string(count) + " public headers\n";
    const bool part_of_a_room = room == "common/env/real" || room.starts_with("kernels/");
    const std::string readme = std::string(SKEIN_SOURCE_DIR) + "/" + room + "/README.md";
    if (!part_of_a_room && !std::filesystem::exists(readme)) wrong += room + ": no README.md\n";
  }
  EXPECT_EQ(wrong, "");
}

}  // namespace
}  // namespace skein::tidy
