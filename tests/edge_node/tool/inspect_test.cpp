// skein inspect, verify, tokenize and detokenize.
#include "common/crypto/ed25519.h"
#include "tests/edge_node/tool/tool_world.h"

namespace skein {
namespace {

class LookCommands : public test::ModelCommands {};

SigningKey key_of(unsigned seed) {
  SigningKey key;
  key.seed.fill(static_cast<std::byte>(seed));
  return key;
}

std::uint64_t number(const boost::json::value& value) { return value.to_number<std::uint64_t>(); }

TEST_F(LookCommands, InspectTellsEveryFactOfTheContract) {
  const auto facts = run_json({"inspect", artifact_, "--json"});
  const test::GoldenModel golden;
  EXPECT_EQ(facts.at("architecture").as_string(), "rwkv7");
  EXPECT_EQ(number(facts.at("layers")), 2U);
  EXPECT_EQ(number(facts.at("width")), 64U);
  EXPECT_EQ(number(facts.at("heads")), 1U);
  EXPECT_EQ(number(facts.at("head_size")), 64U);
  EXPECT_EQ(number(facts.at("vocab")), 275U);
  EXPECT_EQ(number(facts.at("file_bytes")), bench_.read("tiny.skein").size());
  EXPECT_TRUE(facts.at("techniques").as_array().empty());
  EXPECT_EQ(facts.at("digest").as_string(), golden.digest.hex());
  std::uint64_t parameters = 0;
  std::uint64_t bytes = 0;
  for (const auto& tensor : facts.at("tensors").as_array()) {
    std::uint64_t elements = 1;
    for (const auto& side : tensor.at("shape").as_array()) elements *= number(side);
    parameters += elements;
    bytes += number(tensor.at("bytes"));
    EXPECT_EQ(tensor.at("format").as_string(), "f32");
    EXPECT_NE(find_tensor(golden.artifact->manifest(), tensor.at("name").as_string()), nullptr);
  }
  EXPECT_EQ(facts.at("tensors").as_array().size(), golden.artifact->manifest().tensors.size());
  EXPECT_EQ(number(facts.at("parameters")), parameters);
  EXPECT_EQ(number(facts.at("resident_bytes")), bytes);
  EXPECT_DOUBLE_EQ(facts.at("bits_per_weight").to_number<double>(),
                   8.0 * static_cast<double>(bytes) / static_cast<double>(parameters));
}

TEST_F(LookCommands, InspectTellsTheSameOfACheckpoint) {
  auto of_artifact = run_json({"inspect", artifact_, "--json"});
  auto of_checkpoint = run_json({"inspect", checkpoint_, "--json"});
  for (const char* key : {"architecture", "layers", "width", "vocab", "parameters", "tensors",
                          "resident_bytes", "bits_per_weight"}) {
    EXPECT_EQ(of_artifact.at(key), of_checkpoint.at(key)) << key;
  }
  EXPECT_NE(run({"inspect", checkpoint_}).find("rwkv7"), std::string::npos);
}

TEST_F(LookCommands, InspectTellsWhatPagesTakeInACodedFile) {
  const std::string coded = bench_.path("coded.skein");
  write_golden(coded, std::nullopt, PageCoding::kCoded);
  const auto plain = run_json({"inspect", artifact_, "--json"});
  const auto facts = run_json({"inspect", coded, "--json"});
  EXPECT_FALSE(plain.at("coded").as_bool());
  EXPECT_TRUE(facts.at("coded").as_bool());
  EXPECT_EQ(number(facts.at("file_bytes")), bench_.read("coded.skein").size());
  EXPECT_LT(number(facts.at("coded_bytes")), number(plain.at("coded_bytes")));
  EXPECT_LT(number(facts.at("coded_bytes")), number(facts.at("file_bytes")));
  EXPECT_DOUBLE_EQ(facts.at("coded_bits_per_weight").to_number<double>(),
                   8.0 * facts.at("coded_bytes").to_number<double>() /
                       facts.at("parameters").to_number<double>());
  for (const char* same : {"digest", "resident_bytes", "bits_per_weight", "tensors", "pages"}) {
    EXPECT_EQ(facts.at(same), plain.at(same)) << same;
  }
  EXPECT_NE(run({"inspect", coded}).find("coded_bits_per_weight"), std::string::npos);
}

TEST_F(LookCommands, VerifyPassesACodedFileAndNamesItsDamagedPage) {
  const std::string path = bench_.path("coded.skein");
  write_golden(path, key_of(1), PageCoding::kCoded);
  const std::string pem = bench_.write("skein.pub", as_bytes(to_pem(key_of(1).public_key())));
  const auto checked = run_json({"verify", path, "--key", pem, "--json"});
  EXPECT_TRUE(checked.at("signature_checked").as_bool());
  EXPECT_EQ(checked.at("digest"), run_json({"verify", artifact_, "--json"}).at("digest"));
  Buffer bytes = bench_.read("coded.skein");
  bytes[bytes.size() * 3 / 4] ^= std::byte{4};
  expect_refused({"verify", bench_.write("flipped.skein", bytes)}, 3, "page ");
}

TEST_F(LookCommands, ACodedFileAnswersWithTheSameText) {
  const std::string coded = bench_.path("coded.skein");
  write_golden(coded, std::nullopt, PageCoding::kCoded);
  const auto text = [&](const std::string& model) {
    return run(
        {"generate", model, "--vocab", vocabulary_, "-p", "ab", "-n", "12", "--temperature", "0"});
  };
  EXPECT_EQ(text(coded), text(artifact_));
  EXPECT_FALSE(text(coded).empty());
}

TEST_F(LookCommands, VerifyPassesAWholeArtifactAndItsSignature) {
  write_golden(bench_.path("signed.skein"), key_of(1));
  const std::string pem = bench_.write("skein.pub", as_bytes(to_pem(key_of(1).public_key())));
  const auto plain = run_json({"verify", artifact_, "--json"});
  EXPECT_FALSE(plain.at("signed").as_bool());
  const auto checked = run_json({"verify", bench_.path("signed.skein"), "--key", pem, "--json"});
  EXPECT_TRUE(checked.at("signed").as_bool());
  EXPECT_TRUE(checked.at("signature_checked").as_bool());
}

TEST_F(LookCommands, VerifyRefusesAnotherKeyAndNoSignature) {
  write_golden(bench_.path("signed.skein"), key_of(1));
  const std::string pem = bench_.write("skein.pub", as_bytes(to_pem(key_of(2).public_key())));
  expect_refused({"verify", bench_.path("signed.skein"), "--key", pem}, 4, "signed.skein");
  expect_refused({"verify", artifact_, "--key", pem}, 4, "tiny.skein");
  expect_refused({"verify", artifact_, "--key", vocabulary_}, 3, "tiny-vocab.txt");
}

TEST_F(LookCommands, VerifyNamesThePageThatIsDamaged) {
  Buffer bytes = bench_.read("tiny.skein");
  bytes[bytes.size() - 1] ^= std::byte{1};  // in the last page
  const std::string path = bench_.write("flipped.skein", bytes);
  const std::size_t last = test::golden_artifact()->manifest().pages.size() - 1;
  expect_refused({"verify", path}, 3, "page " + std::to_string(last) + " of ");
  expect_refused({"verify", path}, 3, "flipped.skein");
}

TEST_F(LookCommands, TokensAreTextAgain) {
  const std::string text = "robot moved to dock\nUser: ok\xC3\xA9 \xE9\x9B\xBB\xE6\xB1\xA0 100%\n";
  const std::string ids = run({"tokenize", artifact_}, text);
  EXPECT_EQ(ids.find_first_not_of("0123456789 \n"), std::string::npos) << ids;
  EXPECT_EQ(run({"detokenize", artifact_}, ids), text);
  EXPECT_EQ(run({"tokenize", checkpoint_, "--vocab", vocabulary_}, text), ids);
  EXPECT_EQ(run({"tokenize", artifact_}, ""), "\n");
  EXPECT_EQ(run({"detokenize", artifact_}, "\n"), "");
  std::string every_byte;
  for (int b = 0; b < 256; ++b) every_byte += static_cast<char>(b);
  const std::string byte_ids = run({"tokenize", artifact_}, every_byte);
  EXPECT_EQ(run({"detokenize", artifact_}, byte_ids), every_byte);
}

TEST_F(LookCommands, DetokenizeRefusesWhatIsNoId) {
  for (const char* words : {"12 x", "12 -3", "99999999999", "12,13"}) {
    const auto outcome = bench_.run({"detokenize", artifact_}, words);
    EXPECT_EQ(outcome.code(), 2) << outcome.sentence();
    EXPECT_EQ(outcome.out, "");
  }
  EXPECT_EQ(bench_.run({"detokenize", artifact_}, "270000").code(), 2);
}

}  // namespace
}  // namespace skein
