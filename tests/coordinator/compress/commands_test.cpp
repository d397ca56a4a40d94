#include "tests/coordinator/compress/compress_commands.h"

namespace skein {
namespace {

using test::CompressCommands;

TEST_F(CompressCommands, ImportKeepsEveryBitNameAndVocabulary) {
  const auto told = run_json({"import", checkpoint_, "-o", bench_.path("a.skein"), "--vocab",
                              vocabulary_, "--name", "tiny", "--model-version", "v1", "--json"});
  EXPECT_EQ(told.at("digest").as_string(), test::GoldenModel().digest.hex());
  EXPECT_EQ(told.at("bytes"), told.at("bytes_before"));
  EXPECT_TRUE(open("a.skein")->verify_all());
  run({"import", bench_.path("a.skein"), "-o", bench_.path("b.skein"), "--model-version", "v1"});
  EXPECT_EQ(bench_.read("a.skein"), bench_.read("b.skein"));
}

TEST_F(CompressCommands, ImportTakesTheVocabularyThatAGgufFileCarries) {
  run({"import", bench_.golden("mini-bf16.gguf"), "-o", bench_.path("own.skein")});
  EXPECT_EQ(open("own.skein")->manifest().tokenizer.kind, "rwkv-world");
  run({"import", bench_.golden("mini-blocks.gguf"), "-o", bench_.path("none.skein")});
  EXPECT_EQ(open("none.skein")->manifest().tokenizer.kind, "");
  expect_refused(
      {"import", bench_.golden("mini-bf16.gguf"), "-o", bench_.path("x"), "--vocab", vocabulary_},
      3, "tiny-vocab.txt");
}

TEST_F(CompressCommands, CompressOfAnArtifactIsThatOfItsCheckpoint) {
  const std::string artifact = imported("a.skein");
  const auto told = run_json({"compress", artifact, "-o", bench_.path("q1.skein"), "--report",
                              bench_.path("report.json"), "--json"});
  run({"compress", checkpoint_, "-o", bench_.path("q2.skein"), "--vocab", vocabulary_, "--name",
       "tiny"});
  EXPECT_EQ(bench_.read("q1.skein"), bench_.read("q2.skein"));
  EXPECT_LT(bench_.read("q1.skein").size(), bench_.read("a.skein").size() / 2);
  EXPECT_EQ(boost::json::parse(as_text(bench_.read("report.json"))), boost::json::value(told));
}

TEST_F(CompressCommands, PrecisionsThatAreNoneAreRefused) {
  const std::string out = bench_.path("x.skein");
  expect_refused({"import", checkpoint_, "-o", out, "--precision", "q9"}, 2, "--precision");
  expect_refused({"compress", checkpoint_, "-o", out, "--preset", "huge"}, 2, "--preset");
  EXPECT_FALSE(bench_.has("x.skein"));
}

TEST_F(CompressCommands, FewerBitsMakeSmallerArtifactsOfTheFormatThatWasSet) {
  const std::string artifact = imported("a.skein");
  std::size_t before = bench_.read("a.skein").size();
  for (const char* format : {"q8", "q6", "q5", "q4"}) {
    const std::string name = std::string(format) + ".skein";
    const auto told = run_json({"compress", artifact, "-o", bench_.path(name), "--set",
                                std::string("quantize.format=") + format, "--json"});
    const auto file = open(name);
    EXPECT_EQ(file->manifest().techniques, std::vector<std::string>{format});
    EXPECT_EQ(name_of(find_tensor(file->manifest(), "head.weight")->format), format);
    EXPECT_EQ(name_of(find_tensor(file->manifest(), "emb.weight")->format), format);
    EXPECT_LT(bench_.read(name).size(), before) << format;
    before = bench_.read(name).size();
  }
  run({"compress", artifact, "-o", bench_.path("default.skein")});
  EXPECT_EQ(bench_.read("default.skein"), bench_.read("q8.skein"));
}

TEST_F(CompressCommands, SettingsThatSayNothingKnownAreRefused) {
  const std::string out = bench_.path("x.skein");
  const auto refused = [&](std::vector<std::string> settings, const std::string& part) {
    std::vector<std::string> words = {"compress", checkpoint_, "-o", out};
    for (std::string& setting : settings) {
      words.insert(words.end(), {"--set", std::move(setting)});
    }
    expect_refused(words, 2, part);
  };
  for (const char* text : {"q4", "quantize=q4", "quantize.format", "quantize.format=", ".format=q4",
                           "quantize.=q4", "=q4"}) {
    refused({text}, "technique.key=value");
  }
  refused({"quantize.format=q3"}, "q8, q6, q5 or q4");
  refused({"quantize.format=Q4"}, "quantize.format");
  refused({"quantize.group=32"}, "quantize.format, quantize.method");
  refused({"calibration.ids=1"}, "512");
  refused({"prune.format=q4"}, "prune.format");
  refused({"quantize.format=q4", "quantize.format=q4"}, "twice");
  EXPECT_FALSE(bench_.has("x.skein"));
}

TEST_F(CompressCommands, APlanIsPrintedAndNothingIsDone) {
  const std::string out = bench_.path("x.skein");
  const std::string told = run({"compress", checkpoint_, "-o", out, "--preset", "balanced",
                                "--calibration", "book.txt", "--plan"});
  EXPECT_NE(told.find("book.txt"), std::string::npos);
  EXPECT_NE(told.find("0.400 %"), std::string::npos) << told;
  const auto steps =
      run_json({"compress", checkpoint_, "-o", out, "--bits-per-weight", "5", "--plan", "--json"});
  EXPECT_EQ(steps.at("steps").as_array().size(), 5U);
  expect_refused({"compress", checkpoint_, "-o", out, "--preset", "balanced", "--bits-per-weight",
                  "5", "--plan"},
                 2, "--preset");
  expect_refused({"compress", checkpoint_, "-o", out, "--memory-budget", "9X"}, 2, "not a size");
  EXPECT_FALSE(bench_.has("x.skein"));
}

TEST_F(CompressCommands, HeadAndEmbeddingArePlannedAndTheirReportSaysWhatIsRead) {
  const std::string artifact = imported("plain.skein");
  const std::string out = bench_.path("x.skein");
  const std::string plan = run({"compress", artifact, "-o", out, "--only", "embedding,head",
                                "--set", "embedding.format=q6", "--plan"});
  EXPECT_NE(plan.find("embedding: ln0 folded into its rows, q6"), std::string::npos) << plan;
  EXPECT_NE(plan.find("head: rows in the order of clusters"), std::string::npos) << plan;
  expect_refused({"compress", artifact, "-o", out, "--only", "head", "--set", "head.rank=4000"}, 2,
                 "rank of its sketch");
  expect_refused({"compress", artifact, "-o", out, "--only", "head", "--set", "head.mass=0.5"}, 2,
                 "head.method=clusters");
  expect_refused({"compress", artifact, "-o", out, "--only", "embedding", "--set", "head.rank=4"},
                 2, "leaves out head");
  const boost::json::object told =
      run_json({"compress", artifact, "-o", out, "--only", "embedding,head", "--set",
                "calibration.ids=1024", "--json"});
  EXPECT_EQ(told.at("head").at("method").as_string(), "screen");
  EXPECT_EQ(told.at("head").at("top1_agreement").as_double(), 1);
  const auto file = open("x.skein");
  EXPECT_TRUE(file->verify_all());
  EXPECT_EQ(file->manifest().format_version, 2U);
  EXPECT_NE(find_tensor(file->manifest(), kNormedEmbedding), nullptr);
}

TEST_F(CompressCommands, OnlyAHeadIsNamedAsWasAskedToo) {
  const std::string artifact = imported("plain.skein");
  const std::vector<std::string> made_from[] = {{artifact}, {checkpoint_, "--vocab", vocabulary_}};
  for (const std::vector<std::string>& model : made_from) {
    std::vector<std::string> words = {"compress"};
    words.insert(words.end(), model.begin(), model.end());
    words.insert(words.end(),
                 {"-o", bench_.path("x.skein"), "--only", "head", "--set", "calibration.ids=1024"});
    run(words);
    EXPECT_EQ(open("x.skein")->manifest().name, model.size() == 1 ? "tiny" : "");
    words.insert(words.end(), {"--name", "other", "--model-version", "v7"});
    run(words);
    EXPECT_EQ(open("x.skein")->manifest().name, "other") << model.front();
    EXPECT_EQ(open("x.skein")->manifest().version, "v7") << model.front();
  }
}

TEST_F(CompressCommands, APatchTowardsAScreenedModelMakesItAgain) {
  const std::string base = imported("base.skein");
  const std::string target = bench_.path("target.skein");
  const std::string patch = bench_.path("to.patch");
  const std::string out = bench_.path("out.skein");
  run({"compress", base, "-o", target, "--only", "embedding,head", "--set",
       "calibration.ids=1024"});
  run({"delta", "make", base, target, "-o", patch});
  run({"delta", "apply", base, patch, "-o", out});
  EXPECT_EQ(bench_.read("out.skein"), bench_.read("target.skein"));
}

TEST_F(CompressCommands, ACalibratedArtifactSaysWhatItCost) {
  const std::string artifact = imported("a.skein");
  std::string text;
  for (int i = 0; i < 60; ++i) text += "the robot walks " + std::to_string(i % 37) + " steps ";
  const std::string book = bench_.write("book.txt", as_bytes(text));
  const auto told =
      run_json({"compress", artifact, "-o", bench_.path("g.skein"), "--set", "quantize.format=q4",
                "--set", "calibration.ids=512", "--calibration", book, "--held-out", book, "--json",
                "--report", bench_.path("report.json")});
  EXPECT_EQ(boost::json::parse(as_text(bench_.read("report.json"))), boost::json::value(told));
  EXPECT_GT(told.at("held_out").at("perplexity").to_number<double>(), 1);
  EXPECT_TRUE(std::string(told.at("calibration").as_string()).starts_with(book));
  const auto file = open("g.skein");
  EXPECT_TRUE(file->verify_all());
  EXPECT_EQ(file->manifest().techniques.at(1), "gptq");
  EXPECT_NE(file->manifest().techniques.back().find("perplexity"), std::string::npos);
  const std::string out = bench_.path("x.skein");
  expect_refused({"compress", checkpoint_, "-o", out, "--calibration", book}, 2, "--vocab");
  expect_refused({"compress", artifact, "-o", out, "--calibration", bench_.path("none.txt")}, 3,
                 "none.txt");
  expect_refused({"compress", artifact, "-o", out, "--bits-per-weight", "1", "--set",
                  "sensitivity.ids=512", "--calibration", book},
                 6, "smallest that can be met");
  EXPECT_FALSE(bench_.has("x.skein"));
}

TEST_F(CompressCommands, TheReportIsAPageTooThatFetchesNothingAndEscapesNames) {
  run({"compress", checkpoint_,
       "-o",       bench_.path("p.skein"),
       "--vocab",  vocabulary_,
       "--name",   "<script>\"&'",
       "--set",    "calibration.ids=512",
       "--set",    "quantize.method=gptq",
       "--set",    "prune.ratio=0.3",
       "--set",    "sparsity.cett=0.1",
       "--set",    "sparsity.predictor=previous",
       "--set",    "entropy.pages=coded",
       "--report", bench_.path("cost.json")});
  const std::string page(as_text(bench_.read("cost.html")));
  EXPECT_TRUE(page.starts_with("<!doctype html>"));
  EXPECT_TRUE(page.ends_with("</html>\n"));
  EXPECT_TRUE(page.contains("&lt;script&gt;&quot;&amp;&#39;"));
  for (const char* never : {"<script", "http", "url(", "nan", "inf\""}) {
    EXPECT_FALSE(page.contains(never)) << never;
  }
  for (const char* told : {"Sizes", "Techniques", "Silent neurons", "Neurons", "Bits a weight",
                           "Relative error of the outputs", "blocks.1.ffn.key.weight", "entropy"}) {
    EXPECT_TRUE(page.contains(told)) << told;
  }
  const auto told = boost::json::parse(as_text(bench_.read("cost.json"))).as_object();
  EXPECT_EQ(told.at("file_bytes").to_number<std::size_t>(), bench_.read("p.skein").size());
  EXPECT_EQ(told.at("techniques").as_array().back().at("name").as_string(), "entropy");
}

TEST_F(CompressCommands, WhatCannotBeReadOrWrittenIsNamedAndLeavesNothing) {
  const std::string out = bench_.path("x.skein");
  const std::string large = bench_.write("large.txt", as_bytes("1 'a' 1\n65529 'b' 1\n"));
  expect_refused({"import", bench_.path("none.pth"), "-o", out}, 3, "none.pth");
  expect_refused({"import", vocabulary_, "-o", out}, 3, "tiny-vocab.txt");
  expect_refused({"import", checkpoint_, "-o", out, "--vocab", checkpoint_}, 3, "safetensors");
  expect_refused({"import", checkpoint_, "-o", out, "--vocab", large}, 3, "large.txt");
  expect_refused({"import", checkpoint_, "-o", out, "--key", vocabulary_}, 3, "tiny-vocab.txt");
  EXPECT_FALSE(bench_.has("x.skein"));
  expect_refused({"import", checkpoint_, "-o", bench_.path("no/x.skein")}, 3, "no/x.skein");
}

TEST_F(CompressCommands, KeysSignAndAreNeverOverwritten) {
  run({"keys", "new", "-o", bench_.path("keys")});
  const auto key = public_key_from_pem(as_text(bench_.read("keys/skein.pub")));
  ASSERT_TRUE(key) << to_string(key.error());
  run({"import", checkpoint_, "-o", bench_.path("s.skein"), "--key",
       bench_.path("keys/skein.key")});
  EXPECT_TRUE(open("s.skein")->verify_signature(*key));
  const auto mode = std::filesystem::status(bench_.path("keys/skein.key")).permissions();
  EXPECT_EQ(mode & (std::filesystem::perms::group_all | std::filesystem::perms::others_all),
            std::filesystem::perms::none);
  const Buffer secret = bench_.read("keys/skein.key");
  expect_refused({"keys", "new", "-o", bench_.path("keys")}, 4, "skein.key");
  EXPECT_EQ(bench_.read("keys/skein.key"), secret);
  run({"keys", "new", "-o", bench_.path("others")});
  EXPECT_NE(bench_.read("others/skein.key"), secret);
}

TEST_F(CompressCommands, APatchMakesTheSignedTargetAgain) {
  const std::string base = imported("base.skein");
  run({"keys", "new", "-o", bench_.path("keys")});
  const std::string target = bench_.path("target.skein");
  run({"compress", base, "-o", target, "--key", bench_.path("keys/skein.key")});
  const std::string patch = bench_.path("patch");
  const auto told = run_json({"delta", "make", base, target, "-o", patch, "--json"});
  EXPECT_EQ(told.at("patch_bytes").to_number<std::size_t>(), bench_.read("patch").size());
  for (const char* key : {"target_bytes", "pages", "pages_changed", "seconds"}) {
    EXPECT_TRUE(told.contains(key)) << key;
  }
  run({"delta", "apply", base, patch, "-o", bench_.path("made.skein")});
  EXPECT_EQ(bench_.read("made.skein"), bench_.read("target.skein"));
}

TEST_F(CompressCommands, APatchForAnotherBaseOrDamagedIsNamedAndLeavesNothing) {
  const std::string base = imported("base.skein");
  const std::string target = bench_.path("target.skein");
  run({"compress", base, "-o", target});
  const std::string patch = bench_.path("v2.patch");
  run({"delta", "make", base, target, "-o", patch});
  const std::string out = bench_.path("made.skein");
  expect_refused({"delta", "apply", target, patch, "-o", out}, 1, "v2.patch");
  expect_refused({"delta", "apply", base, base, "-o", out}, 3, "base.skein");
  expect_refused({"delta", "apply", base, bench_.path("none"), "-o", out}, 3, "none");
  expect_refused({"delta", "make", checkpoint_, target, "-o", out}, 3, "tiny-64-f32");
  Buffer bytes = bench_.read("v2.patch");
  bytes[bytes.size() / 2] ^= std::byte{1};
  const std::string bad = bench_.write("bad.patch", bytes);
  expect_refused({"delta", "apply", base, bad, "-o", out}, 3, "bad.patch");
  EXPECT_FALSE(bench_.has("made.skein"));
}

}  // namespace
}  // namespace skein
