#include "common/artifact/manifest.h"

#include <gtest/gtest.h>

#include "tests/support/sample_artifact.h"

namespace skein {
namespace {

using test::sample_artifact;

std::string refusal_of(const Manifest& manifest) {
  const auto decoded = decode_manifest(encode_manifest(manifest));
  return decoded ? "accepted" : to_string(decoded.error());
}

// What decode says about the sample with one thing changed.
template <class Change>
std::string refusal_after(Change change) {
  Manifest manifest = sample_artifact(1).manifest();
  change(manifest);
  return refusal_of(manifest);
}

TEST(Manifest, RoundTripsWhateverTheSeed) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Manifest manifest = sample_artifact(seed, 1 + seed % 9).manifest();
    if (seed % 3 == 0) manifest.parent = sha256(as_bytes("parent"));
    if (seed % 4 == 0) manifest.tokenizer = {};
    if (seed % 5 == 0) manifest.chat_template = "User: {prompt}\n\nAssistant:";
    if (seed % 2 == 0) manifest.techniques.clear();
    const Buffer bytes = encode_manifest(manifest);
    const auto decoded = decode_manifest(bytes);
    ASSERT_TRUE(decoded) << seed << ": " << to_string(decoded.error());
    EXPECT_TRUE(*decoded == manifest) << seed;
    EXPECT_EQ(encode_manifest(*decoded), bytes) << seed;
  }
}

TEST(Manifest, ReadsFromAnyAlignment) {
  const Buffer bytes = encode_manifest(sample_artifact(1).manifest());
  Buffer shifted(bytes.size() + 1);
  std::copy(bytes.begin(), bytes.end(), shifted.begin() + 1);
  EXPECT_TRUE(decode_manifest(ByteView(shifted).subspan(1)));
}

TEST(Manifest, FindsATensorByName) {
  const Manifest manifest = sample_artifact(1).manifest();
  EXPECT_EQ(find_tensor(manifest, "blocks.0.tensor_2"), &manifest.tensors[2]);
  EXPECT_EQ(find_tensor(manifest, "blocks.0.tensor_9"), nullptr);
}

TEST(Manifest, KnowsAVocabularyByItsPages) {
  const Manifest one = sample_artifact(1).manifest();
  ASSERT_FALSE(one.tokenizer.pages.empty());
  Manifest other = one;
  other.name = "other";
  EXPECT_TRUE(have_same_vocabulary(one, other));
  other.pages[other.tokenizer.pages[0]].digest = sha256(as_bytes("other words"));
  EXPECT_FALSE(have_same_vocabulary(one, other));
  other.tokenizer = {};
  EXPECT_FALSE(have_same_vocabulary(one, other));
  EXPECT_FALSE(have_same_vocabulary(other, other)) << "there is none";
}

TEST(Manifest, NamesEveryArchitecture) {
  EXPECT_EQ(name_of(Architecture::kRwkv4), "rwkv4");
  EXPECT_EQ(name_of(Architecture::kRwkv5_1), "rwkv5.1");
  EXPECT_EQ(name_of(Architecture::kRwkv5_2), "rwkv5.2");
  EXPECT_EQ(name_of(Architecture::kRwkv6), "rwkv6");
  EXPECT_EQ(name_of(Architecture::kRwkv7), "rwkv7");
}

TEST(Manifest, SaysWhatItDoesNotKnow) {
  EXPECT_EQ(refusal_after([](Manifest& m) { m.format_version = 2; }),
            "the manifest has format version 2 (manifest): use a newer Skein");
  EXPECT_EQ(refusal_after([](Manifest& m) { m.config.architecture = Architecture{8}; }),
            "architecture 8 is not known (manifest): use a newer Skein");
  EXPECT_EQ(refusal_after([](Manifest& m) { m.tensors[1].format = Format{99}; }),
            "tensor blocks.0.tensor_1 is stored in a format or layout that is not known "
            "(manifest): use a newer Skein");
  EXPECT_EQ(refusal_after([](Manifest& m) { m.tensors[1].layout = Layout{0}; }),
            "tensor blocks.0.tensor_1 is stored in a format or layout that is not known "
            "(manifest): use a newer Skein");
  EXPECT_EQ(refusal_after([](Manifest& m) { m.tokenizer.kind = "bpe"; }),
            "this kind of tokenizer is not known (manifest): use a newer Skein");
}

TEST(Manifest, ChecksTheConfigurationsNumbers) {
  EXPECT_EQ(refusal_after([](Manifest& m) { m.config.layers = 0; }),
            "layers is 0, not 1 to 256 (manifest): fetch the artifact again");
  EXPECT_NE(refusal_after([](Manifest& m) { m.config.layers = 257; }), "accepted");
  EXPECT_NE(refusal_after([](Manifest& m) { m.config.width = 1U << 31; }), "accepted");
  EXPECT_NE(refusal_after([](Manifest& m) { m.config.ffn_width = 0; }), "accepted");
  EXPECT_NE(refusal_after([](Manifest& m) { m.config.vocab = kMaxVocab + 1; }), "accepted");
  EXPECT_EQ(refusal_after([](Manifest& m) { m.config.heads = 3; }),
            "3 heads of 64 do not make the width 64 (manifest): fetch the artifact again");
  EXPECT_NE(refusal_after([](Manifest& m) { m.config.heads = 0; }), "accepted");
  EXPECT_EQ(refusal_after([](Manifest& m) {
              m.config.architecture = Architecture::kRwkv4;
              m.config.heads = m.config.head_size = 0;
            }),
            "accepted");
}

TEST(Manifest, ChecksPages) {
  EXPECT_EQ(refusal_after([](Manifest& m) { m.pages[2].bytes = kMaxPageBytes + 1; }),
            "page 2 has 262145 bytes, not 1 to 262144 (manifest): fetch the artifact again");
  EXPECT_NE(refusal_after([](Manifest& m) { m.pages[2].bytes = 0; }), "accepted");
  EXPECT_EQ(refusal_after([](Manifest& m) { m.pages[1].digest = m.pages[0].digest; }),
            "page " + sample_artifact(1).manifest().pages[0].digest.short_hex() +
                " is listed twice (manifest): fetch the artifact again");
}

TEST(Manifest, ChecksTheTokenizersPages) {
  EXPECT_EQ(refusal_after([](Manifest& m) { m.tokenizer.pages = {999}; }),
            "the tokenizer uses page 999 of " +
                std::to_string(sample_artifact(1).manifest().pages.size()) +
                " (manifest): fetch the artifact again");
  EXPECT_NE(refusal_after([](Manifest& m) { m.tokenizer.bytes += 1; }), "accepted");
  EXPECT_EQ(refusal_after([](Manifest& m) { m.tokenizer.kind = ""; }),
            "the tokenizer has pages but no kind (manifest): fetch the artifact again");
}

TEST(Manifest, ChecksShapesAgainstWhatIsStored) {
  EXPECT_EQ(refusal_after([](Manifest& m) { m.tensors[0].shape.clear(); }),
            "tensor blocks.0.tensor_0 has 0 dimensions, not 1 to 4 (manifest): fetch the artifact "
            "again");
  EXPECT_NE(refusal_after([](Manifest& m) { m.tensors[0].shape.assign(5, 1); }), "accepted");
  EXPECT_EQ(refusal_after([](Manifest& m) { m.tensors[0].shape = {7, 7}; }),
            "tensor blocks.0.tensor_0 has a shape unlike its stored size (manifest): fetch the "
            "artifact again");
  // A product that wraps around 2^64 to the right number is not taken for it.
  EXPECT_NE(refusal_after([](Manifest& m) { m.tensors[0].shape.assign(4, 1U << 31); }), "accepted");
  EXPECT_NE(refusal_after([](Manifest& m) { m.tensors[0].rows = 0; }), "accepted");
  EXPECT_NE(refusal_after([](Manifest& m) { m.tensors[0].cols = ~0U; }), "accepted");
  EXPECT_EQ(refusal_after([](Manifest& m) {
              m.tensors[0].transposed = true;
              m.tensors[0].shape = {m.tensors[0].rows, 1, m.tensors[0].cols};
            }),
            "tensor blocks.0.tensor_0 is said to be transposed, but its shape does not fit "
            "(manifest): fetch the artifact again");
}

TEST(Manifest, ChecksThatSegmentsCoverTheirTensor) {
  const auto cut = [](Manifest& m) { m.tensors[0].segments.clear(); };
  EXPECT_NE(refusal_after(cut).find("has 0 of its"), std::string::npos) << refusal_after(cut);
  EXPECT_EQ(refusal_after([](Manifest& m) { m.tensors[0].segments[0].first_row = 1; }),
            "tensor blocks.0.tensor_0's segments do not follow one another at row 0 (manifest): "
            "fetch the artifact again");
  EXPECT_NE(refusal_after(
                [](Manifest& m) { m.tensors[0].segments.push_back(m.tensors[0].segments.back()); }),
            "accepted");
  EXPECT_NE(refusal_after([](Manifest& m) { m.tensors[0].segments.back().rows = ~0U; }),
            "accepted");
  EXPECT_NE(refusal_after([](Manifest& m) { m.tensors[0].segments.back().rows = 0; }), "accepted");
}

TEST(Manifest, ChecksThatSegmentsLieInsideTheirPages) {
  EXPECT_NE(refusal_after([](Manifest& m) { m.tensors[0].segments[0].page = 1000; }), "accepted");
  EXPECT_EQ(refusal_after([](Manifest& m) { m.tensors[0].segments[0].offset = 32; }),
            "tensor blocks.0.tensor_0's segment at row 0 does not begin at a multiple of 64 "
            "(manifest): fetch the artifact again");
  EXPECT_EQ(refusal_after([](Manifest& m) { m.tensors[0].segments[0].offset = 0xffffffc0; }),
            "tensor blocks.0.tensor_0's segment at row 0 does not fit into page 0 (manifest): "
            "fetch the artifact again");
  EXPECT_NE(refusal_after([](Manifest& m) { m.pages[0].bytes -= 1; }), "accepted");
}

TEST(Manifest, ATileIsNotCutInTwo) {
  const auto cut_at = [](std::uint32_t rows) {
    return refusal_after([rows](Manifest& m) {
      TensorEntry& tensor = m.tensors[0];
      tensor = {.name = "t",
                .shape = {32, 4},
                .format = Format::kF32,
                .layout = Layout::kTiles,
                .transposed = false,
                .rows = 32,
                .cols = 4,
                .segments = {}};
      m.pages[0].bytes = kMaxPageBytes;
      tensor.segments = {{0, 0, 0, rows}, {0, 1024, rows, 32 - rows}};
    });
  };
  EXPECT_EQ(cut_at(16), "accepted");
  EXPECT_EQ(cut_at(8),
            "tensor t's segment at row 0 ends inside a tile of 16 rows (manifest): fetch the "
            "artifact again");
}

TEST(Manifest, ChecksNames) {
  EXPECT_EQ(refusal_after([](Manifest& m) { m.tensors[1].name = m.tensors[0].name; }),
            "tensor blocks.0.tensor_0 is listed twice (manifest): fetch the artifact again");
  EXPECT_NE(refusal_after([](Manifest& m) { m.tensors[1].name = ""; }), "accepted");
  EXPECT_NE(refusal_after([](Manifest& m) { m.tensors[1].name = "a\nb"; }), "accepted");
  EXPECT_NE(refusal_after([](Manifest& m) { m.name = std::string(257, 'a'); }), "accepted");
  EXPECT_NE(refusal_after([](Manifest& m) { m.version = "\x1b[31m"; }), "accepted");
  EXPECT_NE(refusal_after([](Manifest& m) { m.techniques.assign(65, "q8"); }), "accepted");
  EXPECT_NE(refusal_after([](Manifest& m) { m.chat_template = std::string(65537, 'a'); }),
            "accepted");
}

TEST(Manifest, ImpossibleLengthsAreRefusedUnread) {
  const Buffer bytes = encode_manifest(sample_artifact(1).manifest());
  EXPECT_FALSE(decode_manifest({}));
  EXPECT_FALSE(decode_manifest(ByteView(bytes).first(bytes.size() - 1)));
  EXPECT_EQ(to_string(decode_manifest(ByteView(bytes).first(3)).error()),
            "a manifest of 3 bytes is not possible (manifest): fetch the artifact again");
}

TEST(Manifest, HasAtMostSoManyTensorsPagesAndBytes) {
  const std::string end = " (manifest): fetch the artifact again";
  EXPECT_EQ(refusal_after([](Manifest& m) { m.tensors.assign(kMaxTensors + 1, {}); }),
            "there are more than 65536 tensors" + end);
  EXPECT_EQ(refusal_after([](Manifest& m) { m.pages.assign(kMaxPages + 1, m.pages[0]); }),
            "there are more than 1048576 pages" + end);
  EXPECT_EQ(to_string(decode_manifest(Buffer(kMaxManifestBytes + 8)).error()),
            "a manifest of 67108872 bytes is not possible" + end);
}

TEST(Manifest, HasExactlyOneForm) {
  Buffer bytes = encode_manifest(sample_artifact(1).manifest());
  bytes.resize(bytes.size() + 8);
  EXPECT_EQ(to_string(decode_manifest(bytes).error()),
            "the manifest is not in canonical form (manifest): fetch the artifact again");
}

TEST(Manifest, NoTwoFormsDecodeToTheSameManifest) {
  const Manifest manifest = sample_artifact(1).manifest();
  const Buffer bytes = encode_manifest(manifest);
  for (std::size_t cut = 0; cut < bytes.size(); cut += 8) {
    EXPECT_FALSE(decode_manifest(ByteView(bytes).first(cut)));
  }
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    Buffer flipped = bytes;
    flipped[bit / 8] ^= std::byte{1} << (bit % 8);
    if (const auto decoded = decode_manifest(flipped)) EXPECT_FALSE(*decoded == manifest) << bit;
  }
}

TEST(Manifest, HostileBytesNeverCrash) {
  std::mt19937_64 random(7);
  const Buffer bytes = encode_manifest(sample_artifact(2).manifest());
  for (int round = 0; round < 20'000; ++round) {
    Buffer hostile = bytes;
    for (std::uint64_t change = 0; change <= random() % 8; ++change) {
      // Whole words: pointers with other targets, sizes and kinds.
      const std::size_t word = random() % std::min<std::size_t>(hostile.size() / 8, 64);
      const std::uint64_t value = random() >> (random() % 64);
      store_le(hostile, word * 8,
               random() % 2 == 0 ? value : value ^ load_le<std::uint64_t>(hostile, word * 8));
    }
    if (const auto decoded = decode_manifest(hostile)) {
      EXPECT_EQ(decode_manifest(encode_manifest(*decoded)), decoded);
    }
  }
}

TEST(SignedManifest, SurvivesItsBlob) {
  const auto check = [](const SignedManifest& manifest) {
    const auto decoded = decode_signed_manifest(encode_signed_manifest(manifest));
    ASSERT_TRUE(decoded);
    EXPECT_EQ(*decoded, manifest);
  };
  check(sign_manifest(sample_artifact(1).manifest(), std::nullopt));
  check(sign_manifest(sample_artifact(1).manifest(), SigningKey{}));
}

TEST(SignedManifest, IsTrustedOnlyUnderTheTrustedKey) {
  SigningKey key, other;
  other.seed[0] = std::byte{1};
  SignedManifest manifest = sign_manifest(sample_artifact(1).manifest(), key);
  const std::string name = "manifest " + manifest.digest().short_hex();
  EXPECT_TRUE(verify_signature(manifest, key.public_key()));
  EXPECT_EQ(to_string(verify_signature(manifest, other.public_key()).error()),
            name + " is signed by another key: trust that key, or sign it with the fleet's key");
  manifest.signature[5] ^= std::byte{1};
  EXPECT_EQ(to_string(verify_signature(manifest, key.public_key()).error()),
            name + " does not match its signature: fetch the artifact again");
  const SignedManifest bare = sign_manifest(sample_artifact(1).manifest(), std::nullopt);
  const auto refused = verify_signature(bare, key.public_key());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kRefused);
}

TEST(SignedManifest, RefusesBlobsThatAreNone) {
  const Buffer blob =
      encode_signed_manifest(sign_manifest(sample_artifact(1).manifest(), SigningKey{}));
  EXPECT_FALSE(decode_signed_manifest({}));
  EXPECT_FALSE(decode_signed_manifest(ByteView(blob).first(104)));
  Buffer changed = blob;
  changed[0] = std::byte{'X'};
  EXPECT_FALSE(decode_signed_manifest(changed));
  changed = blob;
  std::fill(changed.begin() + 8, changed.begin() + 40, std::byte{0});
  EXPECT_FALSE(decode_signed_manifest(changed));
}

}  // namespace
}  // namespace skein
