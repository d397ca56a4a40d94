// The program under a budget, as a process of its own: the same logits, never more memory than was
// promised, and a sentence when it cannot be kept.
#include "tests/support/program.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/edge_node/paging/paged_model.h"

namespace skein {
namespace {

constexpr std::uint64_t kMib = std::uint64_t{1} << 20;
const ModelConfig kConfig = {
    .layers = 6, .width = 512, .heads = 8, .head_size = 64, .ffn_width = 2048, .vocab = 6000};

using test::bytes_of;
using test::number_after;
using test::Shown;
using test::shown;

double decimal_after(const std::string& text, const std::string& words) {
  const std::size_t at = text.find(words);
  return at == std::string::npos ? 0 : std::stod(text.substr(at + words.size()));
}

class ProgramUnderABudget : public testing::TestWithParam<PageCoding> {
 protected:
  // What the program says is the smallest budget, in MiB.
  std::uint64_t smallest() {
    const Shown refused = shown("logits " + paged_.path() + " --tokens 1 --memory-budget 1M");
    EXPECT_EQ(refused.code, 6) << refused.text;
    EXPECT_TRUE(refused.text.starts_with("skein: ")) << refused.text;
    return number_after(refused.text, "give at least ");
  }

  test::MemoryPages pages_ = test::random_model(Format::kQ8, kConfig);
  test::PagedModel paged_{pages_, GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Files, ProgramUnderABudget,
                         testing::Values(PageCoding::kPlain, PageCoding::kCoded),
                         [](const auto& coding) {
                           return coding.param == PageCoding::kPlain ? "Plain" : "Coded";
                         });

TEST_P(ProgramUnderABudget, GivesTheSameLogits) {
  const std::string tokens = " --tokens 1,2,3,700,5,5999,7,8,9,10,11,12 --all -o ";
  const std::string expected = paged_.path() + ".whole", made = paged_.path() + ".paged";
  ASSERT_EQ(shown("logits " + paged_.path() + tokens + expected).code, 0);
  const std::uint64_t least = smallest();
  ASSERT_GT(least, 0U);
  for (const std::uint64_t more : {0U, 3U, 9U, 200U}) {
    const std::string budget = " --memory-budget " + std::to_string(least + more) + "M";
    const Shown run = shown("logits " + paged_.path() + budget + tokens + made);
    ASSERT_EQ(run.code, 0) << budget << ": " << run.text;
    EXPECT_EQ(bytes_of(made), bytes_of(expected)) << budget;
  }
}

TEST_P(ProgramUnderABudget, GivesTheSameLogitsHoweverStorageIsRead) {
  const std::string tokens = " --tokens 1,2,3,700 -o ";
  const std::string expected = paged_.path() + ".whole", made = paged_.path() + ".paged";
  ASSERT_EQ(shown("logits " + paged_.path() + tokens + expected).code, 0);
  const std::string budget = " --memory-budget " + std::to_string(smallest()) + "M";
  for (const char* reads : {"", "SKEIN_IO=pread", "SKEIN_IO=pread,buffered"}) {
    const Shown run = shown("logits " + paged_.path() + budget + tokens + made, reads);
    ASSERT_EQ(run.code, 0) << reads << ": " << run.text;
    EXPECT_EQ(bytes_of(made), bytes_of(expected)) << reads;
    std::filesystem::remove(made);
  }
}

TEST_P(ProgramUnderABudget, NeverTakesMore) {
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  GTEST_SKIP() << "a sanitizer's own memory counts as the program's";
#endif
  const std::uint64_t least = smallest();
  ASSERT_GT(least, 0U);
  for (const std::uint64_t more : {0U, 2U, 5U, 10U, 15U}) {
    const std::string budget = std::to_string(least + more) + "M";
    const Shown run = shown("bench " + paged_.path() + " --memory-budget " + budget +
                            " --decode 8 --prefill 70 --repeat 1 --json");
    ASSERT_EQ(run.code, 0) << run.text;
    const std::uint64_t peak = number_after(run.text, "\"peak_rss_bytes\":");
    EXPECT_GT(peak, 0U);
    EXPECT_LE(peak, (least + more) * kMib) << budget;
    if (more == 0) EXPECT_GT(number_after(run.text, "\"bytes_read\":"), 0U) << run.text;
  }
}

TEST_P(ProgramUnderABudget, ShowsItsPlan) {
  const std::string budget = " --memory-budget " + std::to_string(smallest() + 2) + "M";
  const Shown plan = shown("inspect " + paged_.path() + " --plan" + budget);
  EXPECT_EQ(plan.code, 0);
  const bool coded = GetParam() == PageCoding::kCoded;
  for (const char* words :
       {"process as it is", "stream buffers", "streamed", coded ? "decoding" : "kept rows"}) {
    EXPECT_NE(plan.text.find(words), std::string::npos) << plan.text;
  }
}

TEST_P(ProgramUnderABudget, ReadsNoFasterThanStorageIsSaidToBe) {
  const std::string budget = std::to_string(smallest()) + "M";
  const Shown run = shown("bench " + paged_.path() + " --memory-budget " + budget +
                          " --storage-mbps 40 --decode 6 --prefill 0 --repeat 1 --json");
  ASSERT_EQ(run.code, 0) << run.text;
  const auto tokens = static_cast<double>(number_after(run.text, "\"decode_tokens_per_s\":"));
  const auto bytes = static_cast<double>(number_after(run.text, "\"bytes_read_per_token\":"));
  EXPECT_GT(bytes, 0);
  EXPECT_LT(tokens * bytes, 1.3 * 40e6) << run.text;  // what is in buffers comes at once
}

TEST_P(ProgramUnderABudget, SaysWhatIsWrongWithAStorageSpeed) {
  for (const char* wrong : {"--storage-mbps 0", "--storage-mbps fast", "--storage-latency-us -1",
                            "--paging-rates 300,800", "--paging-rates 300,0,1"}) {
    const Shown run = shown("eval " + paged_.path() + " --memory-budget 100M --text x " + wrong);
    EXPECT_EQ(run.code, 2) << wrong << ": " << run.text;
    EXPECT_TRUE(run.text.starts_with("skein: ")) << run.text;
    EXPECT_EQ(std::ranges::count(run.text, '\n'), 1) << run.text;
  }
}

// Nothing is paged then: the whole file is read so, before the first token.
TEST_P(ProgramUnderABudget, IsNotNeededForStorageToBeSlow) {
  const auto bytes = static_cast<double>(std::filesystem::file_size(paged_.path()));
  const std::string bench = "bench " + paged_.path() + " --decode 1 --prefill 0 --repeat 1 --json";
  const Shown bandwidth = shown(bench + " --storage-mbps 100");
  ASSERT_EQ(bandwidth.code, 0) << bandwidth.text;
  EXPECT_GE(decimal_after(bandwidth.text, "\"load_s\":"), bytes / 100e6) << bandwidth.text;
  const Shown latency = shown(bench + " --storage-latency-us 9000");
  ASSERT_EQ(latency.code, 0) << latency.text;
  EXPECT_GE(decimal_after(latency.text, "\"load_s\":"), 9e-3 * bytes / kMib) << latency.text;
  const std::string logits = "logits " + paged_.path() + " --tokens 5,400,77 -o ";
  const std::string fast = paged_.path() + ".fast", slow = paged_.path() + ".slow";
  ASSERT_EQ(shown(logits + fast).code, 0);
  ASSERT_EQ(shown(logits + slow + " --storage-mbps 500").code, 0);
  EXPECT_EQ(bytes_of(slow), bytes_of(fast));
}

TEST(ProgramWithoutABudget, SaysWhereSlowStorageWouldNotBeFelt) {
  for (const char* wrong :
       {"bench --synthetic 0.1B --storage-mbps 300", "bench x.skein --mmap --storage-mbps 300",
        "bench x.skein --mmap --storage-latency-us 150", "inspect x.skein --storage-mbps 300"}) {
    const Shown run = shown(wrong);
    EXPECT_EQ(run.code, 2) << wrong << ": " << run.text;
    EXPECT_TRUE(run.text.starts_with("skein: ")) << run.text;
    EXPECT_EQ(std::ranges::count(run.text, '\n'), 1) << run.text;
  }
}

TEST(ProgramWithoutABudget, ReadsSizesAsEveryOtherPlaceDoes) {
  for (const char* wrong : {"0", "-1", "9X", "1.5.0G", "1 M", "99999999999G"}) {
    const Shown run =
        shown(std::string("logits x.skein --tokens 1 --memory-budget '") + wrong + "'");
    EXPECT_EQ(run.code, 2) << wrong << ": " << run.text;
    EXPECT_TRUE(run.text.starts_with("skein: --memory-budget: '" + std::string(wrong) + "' is "))
        << run.text;
    EXPECT_EQ(std::ranges::count(run.text, '\n'), 1) << run.text;
  }
  for (const char* size : {"1.5M", "1.5mb", "1536KiB", "1572864"}) {
    const Shown run = shown(std::string("logits x.skein --tokens 1 --memory-budget ") + size);
    EXPECT_NE(run.code, 2) << size << ": " << run.text;  // the file is missing
  }
}

// Pages of a plain file would be coded at opening, but of such weights (q8, to the nearest) they
// hardly become smaller.
TEST_P(ProgramUnderABudget, KeepsPagesCodedWhereThatIsSaidToPay) {
  const bool pays = GetParam() == PageCoding::kCoded;
  const std::string budget = " --memory-budget " + std::to_string(smallest() + 6) + "M";
  const std::string plan = "inspect " + paged_.path() + " --plan" + budget;
  const Shown slow = shown(plan + " --paging-rates 10,800,20000");
  EXPECT_EQ(slow.code, 0) << slow.text;
  EXPECT_EQ(number_after(slow.text, "pages kept coded") > 0, pays) << slow.text;
  const Shown fast = shown(plan + " --paging-rates 100000,800,20000");
  EXPECT_EQ(fast.text.find("pages kept coded"), std::string::npos) << fast.text;
}

TEST_P(ProgramUnderABudget, NamesABadPage) {
  const std::uint32_t page =
      find_tensor(paged_.manifest(), "blocks.5.ffn.key.weight")->segments[0].page;
  paged_.damage(page);
  const std::string budget = " --memory-budget " + std::to_string(smallest()) + "M";
  const Shown run = shown("logits " + paged_.path() + budget + " --tokens 1,2,3");
  EXPECT_EQ(run.code, 3) << run.text;
  EXPECT_NE(run.text.find("page " + std::to_string(page)), std::string::npos) << run.text;
}

}  // namespace
}  // namespace skein
