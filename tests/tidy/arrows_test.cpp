// Point downward only: which room may include which (ARCHITECTURE.md), read from the #include
// lines.
#include <gtest/gtest.h>

#include <map>

#include "tests/tidy/source_tree.h"

namespace skein::tidy {
namespace {

using Rooms = std::vector<std::string>;

// A prefix of the including file's room -> prefixes it may include. Longest prefix wins.
const std::map<std::string, Rooms>& allowed() {
  static const std::map<std::string, Rooms> kAllowed = {
      {"common/base", {}},
      {"kernels", {"common/base", "kernels"}},
      {"common/crypto", {"common/base"}},
      {"common/env", {"common/base", "common/crypto", "kernels/ops"}},
      {"common/env/throttle", {"common/base", "common/env"}},
      {"common/env/pressure", {"common/base", "common/env"}},
      {"common/env/real", {"common/base", "common/env", "common/crypto", "kernels"}},
      {"common/wire", {"common/base", "common/env", "common/crypto", "schemas"}},
      {"common/http", {"common/base", "common/env"}},
      {"common/checkpoint", {"common/base", "kernels"}},
      {"common/coding", {"common/base", "kernels"}},
      {"common/artifact",
       {"common/base", "common/env", "common/crypto", "common/coding", "kernels", "schemas"}},
      {"common/model", {"common/base", "common/artifact", "common/crypto", "kernels"}},
      {"common/convert",
       {"common/base", "common/checkpoint", "common/artifact", "common/crypto", "kernels"}},
      {"common/delta", {"common/base", "common/artifact", "common/crypto", "kernels"}},
      {"common/pack", {"common/base", "common/crypto"}},
      {"common/tensors", {"common/base", "common/checkpoint", "common/crypto", "kernels"}},
      {"common/store", {"common/base"}},
      {"common/grammar", {"common/base"}},
      {"common/cli", {"common/base", "common/env"}},
      {"edge_node", {"common", "kernels", "edge_node"}},
      {"coordinator", {"common", "kernels", "coordinator"}},
      {"simulations", {"common", "kernels", "edge_node", "coordinator", "simulations"}},
      {"deploy", {"common", "kernels", "edge_node", "coordinator", "simulations"}},
      {"tests",
       {"common", "kernels", "edge_node", "coordinator", "simulations", "tests", "schemas"}},
  };
  return kAllowed;
}

bool below(const std::string& path, const std::string& prefix) {
  return path == prefix || path.starts_with(prefix + "/");
}

const Rooms* rule_for(const std::string& room) {
  const Rooms* best = nullptr;
  std::size_t longest = 0;
  for (const auto& [prefix, rooms] : allowed()) {
    if (below(room, prefix) && prefix.size() >= longest) {
      best = &rooms;
      longest = prefix.size();
    }
  }
  return best;
}

std::string included_by(const std::string& line) {
  constexpr std::string_view kStart = "#include \"";
  if (!line.starts_with(kStart)) return {};
  return line.substr(kStart.size(), line.find('"', kStart.size()) - kStart.size());
}

bool is_main(const std::string& path) {
  return path.ends_with("main.cpp") || path.starts_with("deploy/") || path.starts_with("tests/");
}

TEST(Tidy, RoomsIncludeOnlyWhatStandsBelowThem) {
  Findings findings;
  for (const SourceFile& file : read_tree()) {
    const std::string room = room_of(file.path);
    const Rooms* rooms = rule_for(room);
    ASSERT_NE(rooms, nullptr) << room << " has no row in the table of arrows";
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      const std::string include = included_by(file.lines[i]);
      if (include.empty() || include.find('/') == std::string::npos) continue;
      const std::string target = room_of(include);
      bool fine = below(target, room);
      for (const std::string& prefix : *rooms) fine = fine || below(target, prefix);
      if (!fine) findings.add(file, i + 1, "arrow", room + " may not include " + include);
      if (below(target, "common/env/real") && room != "common/env/real" && !is_main(file.path)) {
        findings.add(file, i + 1, "real-world", "only mains and tests see common/env/real");
      }
      const bool is_private = include.find("/internal/") != std::string::npos;
      if (is_private && target != room && !file.is_test()) {
        findings.add(file, i + 1, "internal", include + " is private to its room");
      }
    }
  }
  EXPECT_EQ(findings.text(), "");
}

}  // namespace
}  // namespace skein::tidy
