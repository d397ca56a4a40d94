// SourceTree: the project's own source files, read once for the tidy tests. Test support.
#pragma once

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace skein::tidy {

struct SourceFile {
  std::string path;  // relative to the project's root
  std::vector<std::string> lines;
  bool is_header() const { return path.ends_with(".h"); }
  bool is_test() const { return path.starts_with("tests/"); }
};

inline std::string room_of(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  return folder.filename() == "internal" ? folder.parent_path().string() : folder.string();
}

inline std::vector<SourceFile> read_tree() {
  namespace fs = std::filesystem;
  std::vector<SourceFile> files;
  const fs::path root = SKEIN_SOURCE_DIR;
  for (const char* top :
       {"common", "kernels", "edge_node", "coordinator", "simulations", "tests", "deploy"}) {
    for (const auto& entry : fs::recursive_directory_iterator(root / top)) {
      const std::string extension = entry.path().extension().string();
      if (!entry.is_regular_file() || (extension != ".h" && extension != ".cpp")) continue;
      SourceFile file{fs::relative(entry.path(), root).string(), {}};
      std::ifstream in(entry.path());
      for (std::string line; std::getline(in, line);) file.lines.push_back(line);
      files.push_back(std::move(file));
    }
  }
  return files;
}

// Lines of tests/tidy/exceptions.txt: `<path> <rule>  # reason`. A reason is required.
inline std::set<std::string> read_exceptions() {
  std::set<std::string> exceptions;
  std::ifstream in(std::string(SKEIN_SOURCE_DIR) + "/tests/tidy/exceptions.txt");
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line.front() == '#') continue;
    std::istringstream words(line);
    std::string path, rule, hash;
    words >> path >> rule >> hash;
    if (hash == "#") exceptions.insert(path + " " + rule);
  }
  return exceptions;
}

// Collects what is wrong, so that one run names everything.
class Findings {
 public:
  Findings() : exceptions_(read_exceptions()) {}
  void add(const SourceFile& file, std::size_t line, const std::string& rule,
           const std::string& what) {
    if (exceptions_.contains(file.path + " " + rule)) return;
    text_ << file.path << ":" << line << ": [" << rule << "] " << what << "\n";
  }
  std::string text() const { return text_.str(); }

 private:
  std::set<std::string> exceptions_;
  std::ostringstream text_;
};

}  // namespace skein::tidy
