// skein logits, generate and eval: what comes out is what the model computes.
#include <boost/json/parse.hpp>
#include <cmath>

#include "common/model/evaluate.h"
#include "common/model/sampler.h"
#include "kernels/ops/parallel.h"
#include "tests/edge_node/tool/tool_world.h"

namespace skein {
namespace {

class RunCommands : public test::ModelCommands {
 protected:
  // Greedy ids after feeding `ids`, up to end of text; the state moves along, past the last of
  // them.
  std::vector<TokenId> greedy(std::vector<TokenId> ids, std::size_t count, RwkvState& state) {
    SerialParallel parallel;
    Runner runner(*golden_.model, parallel);
    Sampler sampler({.temperature = 0});
    std::vector<float> logits(golden_.model->config().vocab);
    for (const TokenId id : ids) runner.step(id, state, logits);
    std::vector<TokenId> made;
    while (made.size() < count) {
      const TokenId next = sampler.pick(logits);
      if (next == kEndOfText) break;
      made.push_back(next);
      runner.step(made.back(), state, logits);
    }
    return made;
  }
  std::string text_of(const std::vector<TokenId>& ids) {
    return *golden_.model->tokenizer()->decode(ids);
  }
  std::vector<TokenId> ids_of(const std::string& text) {
    return *golden_.model->tokenizer()->encode(text);
  }

  test::GoldenModel golden_;
  std::size_t row_bytes_ = golden_.model->config().vocab * sizeof(float);
};

TEST_F(RunCommands, LogitsHaveARowForTheLastTokenOrForEachOne) {
  run({"logits", artifact_, "--tokens", "1,2,3", "-o", bench_.path("last")});
  run({"logits", artifact_, "--tokens", "1,2,3", "--all", "-o", bench_.path("all")});
  const Buffer last = bench_.read("last");
  const Buffer all = bench_.read("all");
  EXPECT_EQ(last.size(), row_bytes_);
  ASSERT_EQ(all.size(), 3 * row_bytes_);
  EXPECT_TRUE(std::ranges::equal(ByteView(all).last(row_bytes_), last));
  run({"logits", artifact_, "--tokens", "1", "-o", bench_.path("first")});
  EXPECT_TRUE(std::ranges::equal(ByteView(all).first(row_bytes_), bench_.read("first")));
}

TEST_F(RunCommands, LogitsAreTheSameWhereverTheTokensComeFrom) {
  const std::string prompt = "robot moved to dock";
  const std::string ids = run({"tokenize", artifact_}, prompt);
  const std::string file = bench_.write("ids.txt", as_bytes(ids));
  run({"logits", artifact_, "--prompt", prompt, "-o", bench_.path("prompt")});
  run({"logits", artifact_, "--tokens-file", file, "-o", bench_.path("file")});
  run({"logits", artifact_, "--tokens", ids, "-o", bench_.path("tokens")});
  EXPECT_EQ(bench_.read("prompt"), bench_.read("file"));
  EXPECT_EQ(bench_.read("prompt"), bench_.read("tokens"));
  const std::string piped = run({"logits", artifact_, "--tokens", ids});
  EXPECT_EQ(to_buffer(piped), bench_.read("prompt"));
}

TEST_F(RunCommands, LogitsOfACheckpointAndOfItsArtifactAreTheSameBits) {
  run({"logits", artifact_, "--tokens", "1,2,270,3", "--all", "-o", bench_.path("artifact")});
  run({"logits", checkpoint_, "--tokens", "1,2,270,3", "--all", "-o", bench_.path("checkpoint")});
  EXPECT_EQ(bench_.read("artifact"), bench_.read("checkpoint"));
  const auto told = run_json({"logits", artifact_, "--tokens", "1,2,270,3", "--all", "--threads",
                              "3", "-o", bench_.path("threads"), "--json"});
  EXPECT_EQ(bench_.read("artifact"), bench_.read("threads"));
  EXPECT_EQ(told.at("rows").to_number<int>(), 4);
  EXPECT_EQ(told.at("vocab").to_number<int>(), 275);
}

TEST_F(RunCommands, LogitsWantExactlyOneInput) {
  expect_refused({"logits", artifact_, "-o", bench_.path("x")}, 2, "one input");
  expect_refused({"logits", artifact_, "--tokens", "1", "--prompt", "a", "-o", bench_.path("x")}, 2,
                 "one input");
  expect_refused({"logits", artifact_, "--tokens", "1,275", "-o", bench_.path("x")}, 2, "275");
  expect_refused({"logits", artifact_, "--tokens", "1", "-o", bench_.path("no/x")}, 3, "no/x");
  EXPECT_FALSE(bench_.has("x"));
}

TEST_F(RunCommands, GreedyTextIsTheModelsOwnAndRepeats) {
  RwkvState state = golden_.model->initial_state();
  const std::string expected = text_of(greedy(ids_of("robot "), 20, state)) + "\n";
  const std::vector<std::string> words = {"generate", artifact_,       "-p", "robot ", "-n",
                                          "20",       "--temperature", "0"};
  EXPECT_EQ(run(words), expected);
  EXPECT_EQ(run(words), expected);
}

TEST_F(RunCommands, ASeedDecidesWhatIsSampled) {
  const auto sampled = [&](const char* seed) {
    return run({"generate", artifact_, "-p", "robot ", "-n", "30", "--seed", seed});
  };
  EXPECT_EQ(sampled("7"), sampled("7"));
  EXPECT_NE(sampled("7"), sampled("8"));
}

TEST_F(RunCommands, ASavedStateContinuesAsOneLongRun) {
  const std::string state_file = bench_.path("state");
  run({"generate", artifact_, "-p", "robot ", "-n", "12", "--temperature", "0", "--state-out",
       state_file});
  const std::string continued = run({"generate", artifact_, "-p", " the dock", "-n", "12",
                                     "--temperature", "0", "--state-in", state_file});
  RwkvState state = golden_.model->initial_state();
  greedy(ids_of("robot "), 12, state);
  const auto saved =
      RwkvState::restore(bench_.read("state"), golden_.model->config(), golden_.digest);
  ASSERT_TRUE(saved) << to_string(saved.error());
  EXPECT_EQ(*saved, state);
  EXPECT_EQ(continued, text_of(greedy(ids_of(" the dock"), 12, state)) + "\n");
  EXPECT_NE(continued,
            run({"generate", artifact_, "-p", " the dock", "-n", "12", "--temperature", "0"}));
}

TEST_F(RunCommands, AStateOfACheckpointFitsItsArtifactWithTheSameNames) {
  run({"generate", checkpoint_, "--vocab", vocabulary_, "-p", "robot ", "-n", "3", "--temperature",
       "0", "--state-out", bench_.path("state")});
  run({"generate", checkpoint_, "--vocab", vocabulary_, "-p", "ok", "-n", "3", "--temperature", "0",
       "--state-in", bench_.path("state")});
}

TEST_F(RunCommands, ADamagedOrForeignStateIsRefused) {
  const std::string state = bench_.path("state");
  run({"generate", artifact_, "-p", "a", "-n", "1", "--state-out", state});
  Buffer bytes = bench_.read("state");
  bytes[bytes.size() / 2] ^= std::byte{4};
  const std::string damaged = bench_.write("damaged", bytes);
  expect_refused({"generate", artifact_, "-p", "a", "--state-in", damaged}, 3, "damaged, ");
  expect_refused({"generate", checkpoint_, "--vocab", vocabulary_, "-p", "a", "--state-in", state},
                 1, "another model");
  expect_refused({"generate", artifact_, "-p", "a", "--state-in", bench_.path("none")}, 3, "none");
}

TEST_F(RunCommands, GenerateCountsWhatItDid) {
  run({"generate", artifact_, "-p", "robot ", "-n", "5", "--temperature", "0", "--stats",
       bench_.path("stats.json")});
  const auto stats = boost::json::parse(as_text(bench_.read("stats.json"))).as_object();
  EXPECT_EQ(stats.at("prompt_tokens").to_number<std::size_t>(), ids_of("robot ").size());
  RwkvState state = golden_.model->initial_state();
  const std::size_t made = greedy(ids_of("robot "), 5, state).size();
  EXPECT_EQ(stats.at("tokens").to_number<std::size_t>(), made);
  EXPECT_GT(stats.at("decode_tokens_per_s").to_number<double>(), 0);
  // Every token costs one pass and no more: 256 value rows in each of two layers.
  const std::uint64_t passes = ids_of("robot ").size() + made;
  EXPECT_EQ(stats.at("value_rows_total").to_number<std::uint64_t>(), passes * 2 * 256);
}

TEST_F(RunCommands, EvalTellsWhatTheModelPredicts) {
  const std::string text = "robot moved to dock\nbattery low\nUser: ok\nerror \n";
  const std::string file = bench_.write("text.txt", as_bytes(text));
  const auto told = run_json({"eval", artifact_, "--text", file, "--context", "7", "--json"});
  SerialParallel parallel;
  const auto ids = ids_of(text);
  const EvalResult expected = evaluate(*golden_.model, parallel, ids, 7).value();
  const double nll = told.at("nll_nats").to_number<double>();
  const double tokens = told.at("tokens").to_number<double>();
  EXPECT_EQ(tokens, static_cast<double>(ids.size()));
  EXPECT_EQ(told.at("bytes").to_number<std::size_t>(), text.size());
  EXPECT_DOUBLE_EQ(nll, expected.nll);
  EXPECT_DOUBLE_EQ(told.at("perplexity").to_number<double>(), std::exp(nll / tokens));
  EXPECT_DOUBLE_EQ(told.at("bits_per_byte").to_number<double>(),
                   nll / std::log(2.0) / static_cast<double>(text.size()));
  EXPECT_GE(told.at("seconds").to_number<double>(), 0);
}

TEST_F(RunCommands, ChatAnswersUntilAnEmptyLine) {
  const auto outcome = bench_.run({"chat", artifact_, "-n", "8", "--temperature", "0"},
                                  "robot ok\nbattery low\n\nnot read\n");
  EXPECT_TRUE(outcome.result) << outcome.sentence();
  EXPECT_GE(std::ranges::count(outcome.out, '\n'), 2);
  EXPECT_EQ(std::ranges::count(outcome.err, '>'), 3);
}

}  // namespace
}  // namespace skein
