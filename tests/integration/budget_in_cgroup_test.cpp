// A memory budget under a real limit of the same size: a model larger than it runs, with the tokens
// of the whole model, is never over and never killed.
#include <gtest/gtest.h>

#include <iostream>

#include "tests/edge_node/paging/paged_model.h"
#include "tests/edge_node/spoken_pages.h"
#include "tests/integration/program.h"
#include "tests/support/cgroup.h"

namespace skein::test {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
// 35 MB in q8.
constexpr ModelConfig kShape = {
    .layers = 10, .width = 512, .heads = 8, .head_size = 64, .ffn_width = 2048, .vocab = 300};

std::uint64_t number_after(const std::string& text, const std::string& words) {
  const std::size_t at = text.find(words);
  return at == std::string::npos ? 0 : std::stoull(text.substr(at + words.size()));
}

class BudgetInCgroup : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = why_no_cgroup()) {
      std::cerr << *why << '\n';
      GTEST_SKIP() << *why;
    }
  }
  std::vector<std::string> tool(std::vector<std::string> words) {
    words.insert(words.begin(), program_path("skein"));
    words.insert(words.begin() + 2, model_.path());
    return words;
  }
  // In a group with plenty of room.
  CgroupRun roomy(std::vector<std::string> words) {
    return run_in_cgroup({.memory_bytes = 2048 * kMiB}, tool(std::move(words)));
  }
  // What the program says is the smallest budget, in MiB.
  std::uint64_t smallest(std::vector<std::string> words) {
    words.insert(words.end(), {"--memory-budget", "8M"});
    const CgroupRun refused = roomy(std::move(words));
    EXPECT_EQ(refused.exit_code, 6) << refused.output;
    EXPECT_TRUE(refused.output.starts_with("skein: ")) << refused.output;
    EXPECT_EQ(std::ranges::count(refused.output, '\n'), 1) << refused.output;
    return number_after(refused.output, "give at least ");
  }
  CgroupRun within(std::uint64_t mib, std::vector<std::string> words) {
    words.insert(words.end(), {"--memory-budget", std::to_string(mib) + "M"});
    CgroupRun run = run_in_cgroup({.memory_bytes = mib * kMiB}, tool(std::move(words)));
    EXPECT_EQ(run.failure, "");
    EXPECT_FALSE(run.killed) << "in " << mib << " MiB";
    EXPECT_LE(run.peak_bytes, mib * kMiB);
    return run;
  }

  SpokenPages pages_{kShape, 1};
  PagedModel model_{pages_};
};

TEST_F(BudgetInCgroup, AModelLargerThanTheLimitSaysWhatItSaysWhole) {
  const std::vector<std::string> generate = {"generate",      "-p", "Hello there", "-n", "12",
                                             "--temperature", "0",  "--threads",   "2"};
  const CgroupRun whole = roomy(generate);
  ASSERT_EQ(whole.exit_code, 0) << whole.output;
  const std::uint64_t least = smallest(generate);
  ASSERT_GT(least, 0U);
  ASSERT_LT(least * kMiB, std::filesystem::file_size(model_.path()));
  for (const std::uint64_t more : {0U, 4U}) {
    const CgroupRun run = within(least + more, generate);
    EXPECT_EQ(run.exit_code, 0) << run.output;
    EXPECT_EQ(run.output, whole.output);
  }
}

TEST_F(BudgetInCgroup, ABenchmarkOfALargerModelIsNotKilled) {
  const std::vector<std::string> bench = {"bench", "--decode",  "4", "--prefill", "70", "--repeat",
                                          "1",     "--threads", "2", "--json"};
  const std::uint64_t least = smallest(bench);
  ASSERT_GT(least, 0U);
  const CgroupRun run = within(least + 1, bench);
  EXPECT_EQ(run.exit_code, 0) << run.output;
  EXPECT_GT(number_after(run.output, "\"page_misses\":"), 0U) << run.output;
  EXPECT_LE(number_after(run.output, "\"peak_rss_bytes\":"), (least + 1) * kMiB);
}

// A device under a budget, which answers once and then so many times at once.
CgroupRun run_device(const std::string& model, std::uint64_t mib, const std::string& data,
                     int at_once) {
  const std::string out = data + "/said";
  std::filesystem::create_directories(data);
  const std::string ask =
      "curl -s -d '{\"prompt\":\"Hello there\",\"max_tokens\":12,\"temperature\":0}' "
      "http://127.0.0.1:$port/v1/completions";
  // Gone as soon as it has answered.
  const std::string script =
      program_path("skein-edge") + " --data-dir " + data +
      " --listen 127.0.0.1:0 --set node.threads=2 --memory-budget " + std::to_string(mib) +
      "M --set node.artifact=" + model + " >" + out +
      " 2>&1 & edge=$!; for i in $(seq 300); do kill -0 $edge 2>/dev/null || { cat " + out +
      "; wait $edge; exit $?; }; port=$(sed -n 's/.* http=127.0.0.1:\\([0-9]*\\).*/\\1/p' " + out +
      "); [ -n \"$port\" ] && break; sleep 0.1; done; " + ask + "; asked=; for i in $(seq 2 " +
      std::to_string(at_once) + "); do " + ask +
      " & asked=\"$asked $!\"; done; [ -n \"$asked\" ] && { " + ask +
      "; wait $asked; }; curl -s http://127.0.0.1:$port/metrics; kill $edge; wait $edge";
  return run_in_cgroup({.memory_bytes = mib * kMiB}, {"/bin/sh", "-c", script});
}

std::vector<std::string> texts_of(const std::string& said) {
  std::vector<std::string> texts;
  for (std::size_t at = 0; (at = said.find("\"text\":", at)) != std::string::npos; ++at) {
    texts.push_back(said.substr(at, said.find("\"logprobs\"", at) - at));
  }
  return texts;
}

// Installing, trying and loading an artifact, and an answer, all within the budget.
TEST_F(BudgetInCgroup, ADeviceAnswersWithAModelLargerThanTheLimit) {
  const ScopedFolder folder;
  const CgroupRun refused = run_device(model_.path(), 20, folder.path() + "/small", 1);
  EXPECT_EQ(refused.exit_code, 6) << refused.output;
  const std::uint64_t least = number_after(refused.output, "give at least ");
  ASSERT_GT(least, 0U) << refused.output;
  ASSERT_LT(least * kMiB, std::filesystem::file_size(model_.path()));
  const CgroupRun whole = run_device(model_.path(), 1024, folder.path() + "/whole", 1);
  EXPECT_EQ(whole.exit_code, 0) << whole.output;
  // curl and the shell are in the group too.
  const CgroupRun run = run_device(model_.path(), least + 8, folder.path() + "/paged", 3);
  EXPECT_FALSE(run.killed);
  const std::vector<std::string> texts = texts_of(run.output);
  EXPECT_EQ(texts, std::vector<std::string>(4, texts_of(whole.output).at(0))) << run.output;
  EXPECT_GT(number_after(run.output, "\nskein_pager_misses_total "), 0U) << run.output;
  EXPECT_LE(number_after(run.output, "\nskein_memory_peak_bytes "), (least + 8) * kMiB);
}

}  // namespace
}  // namespace skein::test
