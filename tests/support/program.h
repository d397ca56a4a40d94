// The program, run as a process of its own. Tests only.
#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

namespace skein::test {

struct Shown {
  int code = -1;
  std::string text;  // standard output and standard error
};

inline Shown shown(const std::string& arguments, const std::string& environment = "") {
  const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const std::string line =
      environment + " '" + (here / "skein").string() + "' " + arguments + " 2>&1 </dev/null";
  FILE* pipe = ::popen(line.c_str(), "r");
  Shown result;
  if (pipe == nullptr) return result;
  std::array<char, 4096> part{};
  std::size_t size = 0;
  while ((size = std::fread(part.data(), 1, part.size(), pipe)) > 0) {
    result.text.append(part.data(), size);
  }
  const int status = ::pclose(pipe);
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return result;
}

inline std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(file)), {});
}

inline std::uint64_t number_after(const std::string& text, const std::string& words) {
  const std::size_t at = text.find(words);
  return at == std::string::npos ? 0 : std::stoull(text.substr(at + words.size()));
}

}  // namespace skein::test
