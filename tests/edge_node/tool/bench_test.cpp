// skein bench: what it counts and refuses. How fast anything is belongs to benchmarks.
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

#include "edge_node/tool/commands.h"
#include "kernels/isa/isa.h"
#include "tests/support/tool_bench.h"

namespace skein {
namespace {

boost::json::object report_of(const test::ToolBench::Outcome& outcome) {
  EXPECT_TRUE(outcome.result) << outcome.sentence();
  return outcome.result ? boost::json::parse(outcome.out).as_object() : boost::json::object();
}

TEST(BenchCommand, TellsEveryFieldOfTheContract) {
  const test::ToolBench tool(add_model_commands);
  const auto facts =
      report_of(tool.run({"bench", tool.golden("tiny-128-bf16.safetensors"), "--json", "--decode",
                          "2", "--prefill", "5", "--repeat", "1"}));
  for (const char* field :
       {"isa", "threads", "decode_tokens_per_s", "prefill_tokens_per_s", "bytes_touched_per_token",
        "dense_bytes_per_token", "read_bandwidth_bytes_per_s", "roofline_fraction",
        "peak_rss_bytes", "load_s", "page_hits", "page_misses", "bytes_read", "stall_s"}) {
    EXPECT_TRUE(facts.contains(field)) << field;
  }
  EXPECT_GT(facts.at("decode_tokens_per_s").as_double(), 0);
  EXPECT_EQ(facts.at("threads").to_number<int>(), 1);
}

TEST(BenchCommand, ASyntheticModelIsSilentAsOftenAsWasAsked) {
  ASSERT_TRUE(select_isa(""));
  const test::ToolBench tool(add_model_commands);
  const auto run = [&](const std::string& share) {
    return report_of(tool.run({"bench", "--synthetic", "0.1B", "--format", "q4", "--ffn-sparsity",
                               share, "--json", "--decode", "24", "--prefill", "0", "--repeat", "1",
                               "--sessions", "2", "--threads", "2"}));
  };
  const auto sparse = run("0.87");
  EXPECT_NEAR(sparse.at("ffn_zero_share").as_double(), 0.87, 0.015);
  const auto dense = run("0");
  EXPECT_LT(dense.at("ffn_zero_share").as_double(), 1e-4);
  // A third of the matrices beside the head are values; 4.5 bits a weight.
  const auto all = dense.at("dense_bytes_per_token").to_number<double>();
  EXPECT_NEAR(all, 141.7e6 * 4.5 / 8, 0.5e6);
  EXPECT_NEAR(sparse.at("dense_bytes_per_token").to_number<double>(), all, 0.2e6);
  EXPECT_NEAR(all - sparse.at("bytes_touched_per_token").to_number<double>(),
              0.87 * 12 * 3072 * 768 * 4.5 / 8, 0.5e6);
  EXPECT_EQ(sparse.at("sessions").to_number<int>(), 2);
}

TEST(BenchCommand, RefusesWhatItCannotMeasure) {
  const test::ToolBench tool(add_model_commands);
  EXPECT_EQ(tool.run({"bench"}).code(), 2);
  EXPECT_EQ(
      tool.run({"bench", tool.golden("tiny-64-f32.safetensors"), "--synthetic", "0.1B"}).code(), 2);
  const auto size = tool.run({"bench", "--synthetic", "3B"});
  EXPECT_EQ(size.code(), 2);
  EXPECT_NE(size.sentence().find("choose 0.1B, 0.4B, 1.5B or 2.9B"), std::string::npos);
  EXPECT_EQ(tool.run({"bench", "--synthetic", "0.1B", "--format", "q3"}).code(), 2);
}

}  // namespace
}  // namespace skein
