// Every input that a fuzz target was started from, and every one that ever found something, in the
// ordinary tests; and some small damage to each.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>

#include "tests/fuzz/targets.h"

namespace skein {
namespace {

constexpr int kDamagedCopies = 100;

std::vector<std::filesystem::path> corpus_of(std::string_view target) {
  const auto folder = std::filesystem::path(SKEIN_SOURCE_DIR) / "tests/fuzz/corpus" / target;
  std::vector<std::filesystem::path> files;
  if (!std::filesystem::is_directory(folder)) return files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

Buffer read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  return to_buffer(text);
}

Buffer damaged(Buffer bytes, std::mt19937& random) {
  if (bytes.empty()) return bytes;
  for (std::size_t edits = 1 + random() % 3; edits > 0; --edits) {
    bytes[random() % bytes.size()] = static_cast<std::byte>(random());
  }
  if (random() % 4 == 0) bytes.resize(random() % bytes.size());
  return bytes;
}

TEST(FuzzReplay, EveryCorpusRunsCleanAndSoDoesDamageToIt) {
  std::mt19937 random(1);
  for (const fuzz::Target& target : fuzz::kTargets) {
    const auto files = corpus_of(target.name);
    EXPECT_FALSE(files.empty()) << "no corpus for " << target.name;
    for (const auto& path : files) {
      SCOPED_TRACE(path.string());
      const Buffer bytes = read_file(path);
      target.run(bytes);
      for (int copy = 0; copy < kDamagedCopies; ++copy) target.run(damaged(bytes, random));
    }
  }
}

}  // namespace
}  // namespace skein
