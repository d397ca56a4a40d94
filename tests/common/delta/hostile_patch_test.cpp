// Patches that nobody made: damaged, cut, or built to hurt. Refused, and never believed.
#include <gtest/gtest.h>

#include "common/delta/delta.h"
#include "tests/support/sample_artifact.h"

namespace skein {
namespace {

using test::changed_artifact;
using test::sample_artifact;
using test::SampleArtifact;

constexpr std::size_t kHeaderBytes = 80;
constexpr std::size_t kChecksumAt = 40;
constexpr std::size_t kManifestBytesAt = 72;
constexpr std::size_t kPagesAt = 76;

void mend_checksum(Buffer& patch) {
  const Digest sum = sha256(ByteView(patch).subspan(kHeaderBytes));
  std::memcpy(patch.data() + kChecksumAt, sum.bytes.data(), sum.bytes.size());
}

class HostilePatch : public testing::Test {
 protected:
  HostilePatch() {
    auto patch = make_patch(base, target, sign_manifest(target.manifest(), std::nullopt));
    CHECK(patch.has_value());
    good = std::move(patch->bytes);
    entries_at = kHeaderBytes + load_le<std::uint32_t>(good, kManifestBytesAt);
  }

  void expect_refused(const Buffer& patch, const std::string& about) {
    const auto made = apply_patch(base, patch);
    ASSERT_FALSE(made) << about;
    const Errc code = made.error().code;
    EXPECT_TRUE(code == Errc::kCorrupt || code == Errc::kConflict || code == Errc::kUnsupported)
        << about << ": " << to_string(made.error());
    EXPECT_FALSE(made.error().where.empty()) << about;
    EXPECT_FALSE(made.error().remedy.empty()) << about;
  }
  // Refused, or harmless: the page number of a whole page, for one, is not looked at.
  void expect_never_wrong(const Buffer& patch) {
    const auto made = apply_patch(base, patch);
    if (!made) return;
    for (std::uint32_t i = 0; i < target.manifest().pages.size(); ++i) {
      const auto page = (*made)->page(PageIndex(i));
      ASSERT_TRUE(page);
      EXPECT_TRUE(std::ranges::equal(*page, target.pages()[i]));
    }
  }

  SampleArtifact base = sample_artifact(1, 2);
  SampleArtifact target = changed_artifact(base, 2);
  Buffer good;
  std::size_t entries_at = 0;
};

TEST_F(HostilePatch, RefusesEveryFlippedByte) {
  for (std::size_t at = 0; at < good.size(); ++at) {
    Buffer patch = good;
    patch[at] ^= static_cast<std::byte>(1U << (at % 8));
    expect_refused(patch, "byte " + std::to_string(at));
  }
}

// A patch towards a coded file has its file's digest before the manifest.
TEST_F(HostilePatch, RefusesACodedTargetsPatchCutOrTakenForAPlainOnes) {
  const Digest file = sha256(as_bytes("the file"));
  const SignedManifest manifest = sign_manifest(target.manifest(), std::nullopt);
  const Buffer coded = make_patch(base, target, manifest, file).value().bytes;
  EXPECT_EQ((*apply_patch(base, coded))->coded_file(), file);
  EXPECT_EQ((*apply_patch(base, good))->coded_file(), std::nullopt);
  EXPECT_EQ(coded.size(), good.size() + sizeof file.bytes);
  for (std::size_t size = 0; size < coded.size(); ++size) {
    Buffer patch = coded;
    patch.resize(size);
    if (size >= kHeaderBytes) mend_checksum(patch);
    expect_refused(patch, "cut to " + std::to_string(size));
  }
  Buffer other = coded;
  other[7] = std::byte{'1'};
  expect_refused(other, "called plain");
  other = good;
  other[7] = std::byte{'2'};
  expect_refused(other, "called coded");
}

TEST_F(HostilePatch, RefusesEveryFlippedBitOfItsHeader) {
  for (std::size_t bit = 0; bit < kHeaderBytes * 8; ++bit) {
    Buffer patch = good;
    patch[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    expect_refused(patch, "bit " + std::to_string(bit));
  }
}

TEST_F(HostilePatch, RefusesEveryTruncationEvenWithItsChecksumMended) {
  for (std::size_t size = 0; size < good.size(); ++size) {
    Buffer patch = good;
    patch.resize(size);
    expect_refused(patch, "cut to " + std::to_string(size));
    if (size < kHeaderBytes) continue;
    mend_checksum(patch);
    expect_refused(patch, "cut to " + std::to_string(size) + ", mended");
  }
}

TEST_F(HostilePatch, NeverMakesAWrongPageWhenTheChecksumIsMended) {
  for (std::size_t at = kHeaderBytes; at < good.size(); ++at) {
    Buffer patch = good;
    patch[at] ^= static_cast<std::byte>(1U << (at % 8));
    mend_checksum(patch);
    expect_never_wrong(patch);
  }
}

TEST_F(HostilePatch, RefusesLengthsThatReachFarBeyondTheFile) {
  for (const std::uint32_t lie : {0U, 1U, 0x7fffffffU, 0xffffffffU}) {
    for (const std::size_t at : {kManifestBytesAt, kPagesAt, entries_at + 5}) {
      Buffer patch = good;
      if (load_le<std::uint32_t>(patch, at) == lie) continue;
      store_le(patch, at, lie);
      mend_checksum(patch);
      expect_refused(patch, std::to_string(lie) + " at " + std::to_string(at));
    }
  }
}

TEST_F(HostilePatch, RefusesPagesAndKindsThatAreNotThere) {
  // The second page is the base's own.
  const std::size_t second = entries_at + 9 + load_le<std::uint32_t>(good, entries_at + 5);
  ASSERT_EQ(load_le<std::uint8_t>(good, second), 0);
  for (const std::uint32_t lie : {0U, 1'000'000U, 0xffffffffU}) {
    Buffer patch = good;
    store_le(patch, second + 1, lie);
    mend_checksum(patch);
    expect_refused(patch, "base page " + std::to_string(lie));
  }
  for (const unsigned kind : {1U, 2U, 3U, 255U}) {
    Buffer patch = good;
    patch[second] = static_cast<std::byte>(kind);
    mend_checksum(patch);
    expect_refused(patch, "kind " + std::to_string(kind));
  }
}

TEST_F(HostilePatch, RefusesBytesAfterItsLastPage) {
  Buffer patch = good;
  patch.push_back(std::byte{0});
  mend_checksum(patch);
  expect_refused(patch, "a byte more");
}

TEST_F(HostilePatch, SaysWhatAFileThatIsNoPatchIs) {
  const auto made = apply_patch(base, as_bytes("PK\3\4 something else"), "photo.zip");
  ASSERT_FALSE(made);
  EXPECT_EQ(to_string(made.error()),
            "this is not a patch (photo.zip, offset 0): make one with skein delta make");
}

// A small file may claim a target of any size: pages of zeros pack to almost nothing.
TEST_F(HostilePatch, RefusesATargetBeyondTheLimitBeforeMakingAnyOfIt) {
  Manifest huge = target.manifest();
  for (std::uint64_t made = 0; made <= kMaxTargetBytes; made += kMaxPageBytes) {
    PageEntry page{.digest = {}, .bytes = kMaxPageBytes};
    store_le(page.digest.bytes, 0, made + 1);
    huge.pages.push_back(page);
  }
  const Buffer manifest = encode_signed_manifest(sign_manifest(huge, std::nullopt));
  Buffer patch(good.begin(), good.begin() + kHeaderBytes);
  append(patch, manifest);
  store_le(patch, kManifestBytesAt, static_cast<std::uint32_t>(manifest.size()));
  store_le(patch, kPagesAt, static_cast<std::uint32_t>(huge.pages.size()));
  mend_checksum(patch);
  const auto made = apply_patch(base, patch);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Errc::kOutOfRoom) << to_string(made.error());
}

}  // namespace
}  // namespace skein
