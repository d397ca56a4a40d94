// Pages entropy-coded: while pressing, of an artifact that is there, and in deltas.
#include "tests/coordinator/compress/compress_commands.h"

namespace skein {
namespace {

using test::CompressCommands;

class CodedPagesOfFiles : public CompressCommands {
 protected:
  // An artifact in q4 and the same with its pages coded.
  CodedPagesOfFiles() {
    const std::string exact = imported("exact.skein");
    run({"compress", exact, "-o", plain_, "--set", "quantize.format=q4"});
    run({"compress", plain_, "-o", coded_, "--only", "entropy"});
  }
  std::string plain_ = bench_.path("plain.skein");
  std::string coded_ = bench_.path("coded.skein");
};

TEST_F(CodedPagesOfFiles, AreTheSameArtifactInFewerBytesAndPlainAgainTheSameFile) {
  const auto told = run_json({"compress", plain_, "-o", coded_, "--only", "entropy", "--json"});
  EXPECT_EQ(told.at("bytes").to_number<std::size_t>(), bench_.read("coded.skein").size());
  EXPECT_EQ(told.at("bytes_before").to_number<std::size_t>(), bench_.read("plain.skein").size());
  EXPECT_LT(bench_.read("coded.skein").size(), bench_.read("plain.skein").size());
  EXPECT_EQ(open("coded.skein")->coding(), PageCoding::kCoded);
  EXPECT_TRUE(open("coded.skein")->verify_all());
  EXPECT_EQ(open("coded.skein")->digest(), open("plain.skein")->digest());
  EXPECT_EQ(told.at("digest").as_string(), open("plain.skein")->digest().hex());
  run({"compress", coded_, "-o", bench_.path("again.skein"), "--only", "entropy", "--set",
       "entropy.pages=plain"});
  EXPECT_EQ(bench_.read("again.skein"), bench_.read("plain.skein"));
}

TEST_F(CodedPagesOfFiles, AreAsTheyAreWhereAPagerReadsRows) {
  const std::string rows = bench_.path("rows.skein");
  run({"compress", plain_, "-o", rows, "--only", "entropy", "--set",
       "entropy.pages=coded-but-rows"});
  const auto file = open("rows.skein");
  EXPECT_EQ(file->coding(), PageCoding::kCoded);
  EXPECT_TRUE(file->verify_all());
  EXPECT_EQ(file->digest(), open("plain.skein")->digest());
  for (const TensorEntry& tensor : file->manifest().tensors) {
    if (tensor.rows == 1 || tensor.layout != Layout::kRows) continue;
    const std::uint32_t page = tensor.segments[0].page;
    EXPECT_TRUE(
        is_stored_page(file->stored_size(PageIndex(page)), file->manifest().pages[page].bytes))
        << tensor.name;
  }
  EXPECT_GT(bench_.read("rows.skein").size(), bench_.read("coded.skein").size());
  EXPECT_LT(bench_.read("rows.skein").size(), bench_.read("plain.skein").size());
  run({"compress", rows, "-o", bench_.path("again.skein"), "--only", "entropy"});
  EXPECT_EQ(bench_.read("again.skein"), bench_.read("coded.skein"));
}

TEST_F(CodedPagesOfFiles, AreWrittenWhilePressingToo) {
  run({"compress", bench_.path("exact.skein"), "-o", bench_.path("pressed.skein"), "--set",
       "quantize.format=q4", "--set", "entropy.pages=coded"});
  EXPECT_EQ(bench_.read("pressed.skein"), bench_.read("coded.skein"));
  run({"compress", bench_.path("exact.skein"), "-o", bench_.path("both.skein"), "--set",
       "quantize.format=q4", "--only", "quantize,entropy"});
  EXPECT_EQ(bench_.read("both.skein"), bench_.read("coded.skein"));
  run({"compress", bench_.path("exact.skein"), "-o", bench_.path("plainly.skein"), "--set",
       "quantize.format=q4", "--set", "entropy.pages=plain"});
  EXPECT_EQ(bench_.read("plainly.skein"), bench_.read("plain.skein"));
}

TEST_F(CodedPagesOfFiles, KeepASignatureAndTakeAnother) {
  run({"keys", "new", "-o", bench_.path("keys")});
  const std::string key = bench_.path("keys/skein.key");
  const auto shown = public_key_from_pem(as_text(bench_.read("keys/skein.pub"))).value();
  run({"compress", plain_, "-o", bench_.path("signed.skein"), "--only", "entropy", "--key", key});
  EXPECT_TRUE(open("signed.skein")->verify_signature(shown));
  run({"compress", bench_.path("signed.skein"), "-o", bench_.path("kept.skein"), "--only",
       "entropy", "--set", "entropy.pages=plain"});
  EXPECT_TRUE(open("kept.skein")->verify_signature(shown));
}

TEST_F(CodedPagesOfFiles, GoWithNothingThatChangesAWeight) {
  const std::string out = bench_.path("x.skein");
  expect_refused({"compress", checkpoint_, "-o", out, "--only", "entropy"}, 2, "import");
  for (const char* other : {"--name", "--model-version"}) {
    expect_refused({"compress", plain_, "-o", out, "--only", "entropy", other, "x"}, 2,
                   "keeps its name");
  }
  expect_refused(
      {"compress", plain_, "-o", out, "--only", "entropy", "--set", "quantize.format=q4"}, 2,
      "add quantize to --only");
  expect_refused({"compress", plain_, "-o", out, "--only", "entropy", "--preset", "balanced"}, 2,
                 "add quantize to --only");
  expect_refused(
      {"compress", plain_, "-o", out, "--only", "quantize", "--set", "entropy.pages=coded"}, 2,
      "add entropy to --only");
  expect_refused({"compress", plain_, "-o", out, "--set", "entropy.pages=small"}, 2, "plain");
  expect_refused({"compress", plain_, "-o", out, "--only", "magic"}, 2,
                 "quantize, sparsity, head, entropy");
  EXPECT_FALSE(bench_.has("x.skein"));
  const std::string told = run({"compress", plain_, "-o", out, "--only", "entropy", "--plan"});
  EXPECT_NE(told.find("every bit kept"), std::string::npos);
}

TEST_F(CodedPagesOfFiles, ComeOutOfAPatchByteForByte) {
  const std::string exact = bench_.path("exact.skein");
  const std::string made = bench_.path("made.skein");
  const std::string patch = bench_.path("patch");
  run({"delta", "make", exact, coded_, "-o", patch});
  run({"delta", "apply", exact, patch, "-o", made});
  EXPECT_EQ(bench_.read("made.skein"), bench_.read("coded.skein"));
  // The base may be coded too, and a plain target from it is plain.
  run({"delta", "make", coded_, plain_, "-o", patch});
  run({"delta", "apply", coded_, patch, "-o", made});
  EXPECT_EQ(bench_.read("made.skein"), bench_.read("plain.skein"));
}

// As when another zstd chose other bytes: the patch names a file that is not made here.
TEST_F(CodedPagesOfFiles, AreRefusedWhereAPatchNamesOtherBytes) {
  constexpr std::size_t kFileDigestAt = 80;
  constexpr std::size_t kChecksumAt = 40;
  run({"delta", "make", plain_, coded_, "-o", bench_.path("patch")});
  Buffer bytes = bench_.read("patch");
  bytes[kFileDigestAt] ^= std::byte{1};
  const Digest sum = sha256(ByteView(bytes).subspan(kFileDigestAt));
  std::ranges::copy(sum.bytes, bytes.begin() + kChecksumAt);
  const std::string other = bench_.write("other.patch", bytes);
  const std::string out = bench_.write("made.skein", bench_.read("plain.skein"));
  expect_refused({"delta", "apply", plain_, other, "-o", out}, 3, "made.skein");
  EXPECT_EQ(bench_.read("made.skein"), bench_.read("plain.skein")) << "what stood there stays";
  EXPECT_FALSE(bench_.has("made.skein.unchecked"));
}

}  // namespace
}  // namespace skein
