// What the model commands say of files and arguments that are no good.
#include "tests/edge_node/tool/tool_world.h"

namespace skein {
namespace {

class BadInput : public test::ModelCommands {
 protected:
  std::string cut(const std::string& name, ByteView bytes, std::size_t size) {
    return bench_.write(name, bytes.first(size));
  }
  // A bit of a weight: found where weights are used, whatever the command.
  std::string flipped() {
    Buffer bytes = bench_.read("tiny.skein");
    bytes[bytes.size() - 100] ^= std::byte{16};
    return bench_.write("flipped.skein", bytes);
  }
};

TEST_F(BadInput, AMissingFileIsNamed) {
  const std::string none = bench_.path("none.skein");
  expect_refused({"inspect", none}, 3, "none.skein");
  expect_refused({"verify", none}, 3, "none.skein");
  expect_refused({"generate", none, "-p", "a"}, 3, "none.skein");
  expect_refused({"eval", artifact_, "--text", none}, 3, "none.skein");
  expect_refused({"tokenize", artifact_, "--vocab", none}, 3, "none.skein");
  expect_refused({"logits", artifact_, "--tokens-file", none}, 3, "none.skein");
  expect_refused({"inspect", bench_.path("")}, 3, "directory");
}

TEST_F(BadInput, AFileOfAnotherKindIsNamed) {
  const std::string text = bench_.write("notes.txt", as_bytes("no model at all\n"));
  const std::string empty = bench_.write("empty.pth", {});
  for (const std::string& path : {text, empty}) {
    expect_refused({"inspect", path}, 3, path);
    expect_refused({"verify", path}, 3, path);
    expect_refused({"generate", path, "-p", "a"}, 3, path);
  }
}

TEST_F(BadInput, ATruncatedFileIsNamed) {
  const Buffer checkpoint = test::golden_file("tiny-64-f32.safetensors");
  const Buffer binary = test::golden_file("tiny-64-fp16.bin");
  const Buffer gguf = test::golden_file("mini-blocks.gguf");
  const Buffer artifact = bench_.read("tiny.skein");
  for (const std::size_t keep : {std::size_t{9}, std::size_t{1000}, std::size_t{100'000}}) {
    expect_refused({"inspect", cut("cut.safetensors", checkpoint, keep)}, 3, "cut.safetensors");
    expect_refused({"inspect", cut("cut.bin", binary, keep)}, 3, "cut.bin");
    expect_refused({"inspect", cut("cut.gguf", gguf, std::min(keep, gguf.size() - 100))}, 3,
                   "cut.gguf");
    expect_refused({"inspect", cut("cut.skein", artifact, keep)}, 3, "cut.skein");
    expect_refused({"verify", cut("cut.skein", artifact, keep)}, 3, "cut.skein");
  }
}

TEST_F(BadInput, AFlippedBitInAWeightIsFoundByEveryCommandThatComputes) {
  const std::string path = flipped();
  const std::string text = bench_.write("text.txt", as_bytes("robot"));
  expect_refused({"verify", path}, 3, "flipped.skein");
  expect_refused({"generate", path, "-p", "a"}, 3, "flipped.skein");
  expect_refused({"logits", path, "--tokens", "1"}, 3, "flipped.skein");
  expect_refused({"eval", path, "--text", text}, 3, "flipped.skein");
}

TEST_F(BadInput, ASafetensorsFileThatIsNoRwkvModelIsNamed) {
  std::string header = R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  Buffer file;
  append_le(file, std::uint64_t{header.size()});
  append(file, as_bytes(header));
  append_le(file, 1.0F);
  const std::string path = bench_.write("other.safetensors", file);
  expect_refused({"inspect", path}, 3, "other.safetensors");
}

TEST_F(BadInput, AModelWithoutAVocabularyAsksForOne) {
  for (const char* command : {"tokenize", "detokenize", "chat"}) {
    expect_refused({command, checkpoint_}, 2, "--vocab");
  }
  expect_refused({"generate", checkpoint_, "-p", "a"}, 2, "--vocab");
  expect_refused({"logits", checkpoint_, "--prompt", "a"}, 2, "--vocab");
}

TEST_F(BadInput, AGgufFileWithoutAVocabularyAsksForOneAndOneWithItDoesNot) {
  expect_refused({"tokenize", bench_.golden("mini-blocks.gguf")}, 2, "--vocab FILE");
  EXPECT_EQ(run({"tokenize", bench_.golden("mini-bf16.gguf")}, "it's the ab\n"), "11 16 17 18 2\n");
  const std::string other = bench_.write("ab.txt", as_bytes("1 'a' 1\n2 'b' 1\n"));
  EXPECT_EQ(run({"tokenize", bench_.golden("mini-bf16.gguf"), "--vocab", other}, "ab"), "1 2\n");
}

TEST_F(BadInput, AWeightThatIsNoNumberIsNamedWithItsFile) {
  Buffer file = test::golden_file("tiny-64-f32.safetensors");
  store_le(MutableByteView(file), file.size() - 4, std::uint32_t{0x7FC00000});
  const std::string path = bench_.write("nan.safetensors", file);
  for (const char* command : {"inspect", "logits"}) {
    std::vector<std::string> words = {command, path};
    if (words.front() == "logits") words.insert(words.end(), {"--tokens", "1"});
    expect_refused(words, 3, "a weight is NaN or infinite");
    expect_refused(words, 3, "nan.safetensors");
    expect_refused(words, 3, "head.weight");
  }
}

TEST_F(BadInput, AVocabularyThatCannotBeReadOrIsAnotherModelsIsNamed) {
  const std::string broken = bench_.write("broken.txt", as_bytes("1 'a' 1\n2 'b' 7\n"));
  const std::string large = bench_.write("large.txt", as_bytes("1 'a' 1\n65529 'b' 1\n"));
  for (const auto& [path, part] :
       {std::pair(broken, "broken.txt, vocabulary line 2"), std::pair(large, "large.txt")}) {
    expect_refused({"generate", artifact_, "--vocab", path, "-p", "a"}, 3, part);
    expect_refused({"tokenize", checkpoint_, "--vocab", path}, 3, part);
  }
  // Ids need no vocabulary.
  run({"logits", artifact_, "--vocab", large, "--tokens", "1", "-o", bench_.path("x")});
}

TEST_F(BadInput, TextThatTheVocabularyCannotWriteIsRefused) {
  const std::string only_a = bench_.write("a.txt", as_bytes("1 'a' 1\n"));
  expect_refused({"generate", artifact_, "--vocab", only_a, "-p", "ab"}, 3, "1");
}

TEST_F(BadInput, AnEmptyPromptOrTextIsRefused) {
  expect_refused({"generate", artifact_, "-p", ""}, 2, "prompt");
  expect_refused({"eval", artifact_, "--text", bench_.write("empty", {})}, 2, "empty");
}

TEST_F(BadInput, OptionsOutOfRangeAreRefused) {
  for (const std::vector<std::string>& more : {std::vector<std::string>{"-n", "0"},
                                               {"-n", "x"},
                                               {"--temperature", "-1"},
                                               {"--temperature", "nan"},
                                               {"--top-p", "1.5"},
                                               {"--threads", "-1"},
                                               {"--threads", "1000000"},
                                               {"--nothing"}}) {
    std::vector<std::string> words = {"generate", artifact_, "-p", "a"};
    words.insert(words.end(), more.begin(), more.end());
    expect_refused(words, 2, "command line");
  }
  expect_refused({"eval", artifact_, "--text", vocabulary_, "--context", "0"}, 2, "context");
  expect_refused({"generate", artifact_}, 2, "prompt");
}

TEST_F(BadInput, AnOutputThatCannotBeWrittenIsNamed) {
  const auto outcome =
      bench_.run({"generate", artifact_, "-p", "a", "-n", "1", "--stats", "/nonexistent/s"});
  EXPECT_EQ(outcome.code(), 3);
  EXPECT_NE(outcome.sentence().find("/nonexistent/s"), std::string::npos) << outcome.sentence();
}

}  // namespace
}  // namespace skein
