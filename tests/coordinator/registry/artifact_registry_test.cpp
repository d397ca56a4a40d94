#include "coordinator/registry/artifact_registry.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "common/artifact/artifact_file.h"
#include "common/crypto/sha256.h"
#include "common/env/real/real_env.h"
#include "common/store/database.h"
#include "coordinator/registry/internal/coded_pages.h"
#include "tests/coordinator/support/temp_folder.h"
#include "tests/support/sample_artifact.h"

namespace skein {
namespace {

class ArtifactRegistryTest : public testing::Test {
 protected:
  ArtifactRegistryTest() { open(); }
  void open() {
    registry_.reset();
    store_ = open_sqlite_store(*database_).value();
    authority_ = real_.run(Authority::open(real_.env(), {folder_.path("keys"), {}})).value();
    chunks_ = std::make_unique<ChunkStore>(real_.env().disk, folder_.path("chunks"));
    ASSERT_TRUE(real_.run(chunks_->open()));
    ArtifactRegistry::Options options{folder_.path("inbox")};
    registry_ = std::make_unique<ArtifactRegistry>(real_.env(), *store_, *chunks_, *authority_,
                                                   std::move(options));
    ASSERT_TRUE(real_.run(registry_->restore()));
  }
  std::string file_of(test::SampleArtifact& sample, std::optional<SigningKey> key = {},
                      PageCoding coding = PageCoding::kPlain) {
    const std::string path = folder_.path("sample.skein");
    EXPECT_TRUE(real_.run(write_artifact(real_.env().disk, path, sample, key, coding)));
    return path;
  }
  static std::string bytes_of(const std::string& path) {
    std::stringstream all;
    all << std::ifstream(path, std::ios::binary).rdbuf();
    return all.str();
  }

  test::TempFolder folder_;
  RealEnv real_{{.compute_threads = 1, .log_level = LogLevel::kError}};
  std::unique_ptr<Database> database_ = Database::open_in_memory().value();
  std::unique_ptr<Store> store_;
  std::unique_ptr<Authority> authority_;
  std::unique_ptr<ChunkStore> chunks_;
  std::unique_ptr<ArtifactRegistry> registry_;
};

TEST_F(ArtifactRegistryTest, AnUnsignedFileIsImportedAndSignedByTheCoordinator) {
  auto sample = test::sample_artifact(1);
  const auto row = real_.run(registry_->import_file(file_of(sample)));
  ASSERT_TRUE(row) << to_string(row.error());
  EXPECT_EQ(row->version, "v1");
  EXPECT_EQ(row->pages, sample.manifest().pages.size());

  const auto blob = real_.run(registry_->signed_manifest_blob(row->digest)).value();
  const SignedManifest stored = decode_signed_manifest(blob).value();
  EXPECT_TRUE(verify_signature(stored, authority_->artifact_public_key()));
  EXPECT_EQ(decode_manifest(stored.bytes).value(), sample.manifest());
  for (std::uint32_t i = 0; i < sample.manifest().pages.size(); ++i) {
    const auto page = real_.run(registry_->page(sample.manifest().pages[i].digest));
    ASSERT_TRUE(page);
    EXPECT_EQ(*page, sample.pages()[i]);
  }
}

TEST_F(ArtifactRegistryTest, ImportingTwiceIsImportingOnce) {
  auto sample = test::sample_artifact(2);
  const std::string path = file_of(sample);
  const auto first = real_.run(registry_->import_file(path)).value();
  EXPECT_EQ(real_.run(registry_->import_file(path)).value(), first);
  EXPECT_EQ(registry_->artifacts().size(), 1U);
}

TEST_F(ArtifactRegistryTest, AnUploadLeavesNothingInTheInbox) {
  auto sample = test::sample_artifact(3);
  ASSERT_TRUE(real_.run(registry_->import_upload(bytes_of(file_of(sample)))));
  const auto refused = real_.run(registry_->import_upload("this is no artifact"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kCorrupt) << to_string(refused.error());
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path("inbox")));
}

TEST_F(ArtifactRegistryTest, RefusesAFileWithADamagedPage) {
  auto sample = test::sample_artifact(4);
  std::string bytes = bytes_of(file_of(sample));
  bytes[bytes.size() - 70] = static_cast<char>(bytes[bytes.size() - 70] ^ 1);
  const auto refused = real_.run(registry_->import_upload(bytes));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kCorrupt);
  EXPECT_TRUE(registry_->artifacts().empty());
}

TEST_F(ArtifactRegistryTest, SignsAgainWhatAnotherKeySigned) {
  SigningKey theirs;
  theirs.seed.fill(std::byte{9});
  auto sample = test::sample_artifact(5);
  const auto row = real_.run(registry_->import_file(file_of(sample, theirs)));
  ASSERT_TRUE(row) << to_string(row.error());
  const auto stored = real_.run(chunks_->get_manifest(row->digest)).value();
  EXPECT_EQ(stored.signer, authority_->artifact_public_key());
}

TEST_F(ArtifactRegistryTest, ARestartKeepsWhatWasRegistered) {
  auto sample = test::sample_artifact(6);
  const auto row = real_.run(registry_->import_file(file_of(sample))).value();
  open();
  ASSERT_NE(registry_->find(row.digest), nullptr);
  EXPECT_EQ(*registry_->find(row.digest), row);
  EXPECT_TRUE(real_.run(registry_->page(sample.manifest().pages[0].digest)));
  const auto opened = real_.run(registry_->open(row.digest));
  ASSERT_TRUE(opened);
  EXPECT_EQ((*opened)->manifest(), sample.manifest());
}

TEST_F(ArtifactRegistryTest, APageThatWasLostComesBackWithTheNextImport) {
  auto sample = test::sample_artifact(7);
  const std::string path = file_of(sample);
  ASSERT_TRUE(real_.run(registry_->import_file(path)));
  const Digest lost = sample.manifest().pages[0].digest;
  ASSERT_TRUE(real_.run(chunks_->remove(lost)));
  EXPECT_EQ(real_.run(registry_->page(lost)).error().code, Errc::kNotFound);
  ASSERT_TRUE(real_.run(registry_->import_file(path)));
  EXPECT_TRUE(real_.run(registry_->page(lost)));
}

TEST_F(ArtifactRegistryTest, ACodedFileIsTheSameArtifactAndItsPagesAreKeptPlain) {
  auto sample = test::sample_artifact(9);
  const std::string path = file_of(sample, {}, PageCoding::kCoded);
  const auto row = real_.run(registry_->import_upload(bytes_of(path)));
  ASSERT_TRUE(row) << to_string(row.error());
  for (std::uint32_t i = 0; i < sample.manifest().pages.size(); ++i) {
    EXPECT_EQ(real_.run(chunks_->get(sample.manifest().pages[i].digest)).value(),
              sample.pages()[i]);
  }
  EXPECT_EQ(real_.run(registry_->import_file(file_of(sample))).value().digest, row->digest);
  EXPECT_EQ(registry_->artifacts().size(), 1U);
}

TEST_F(ArtifactRegistryTest, CodesAPageOnceAndSendsAsItIsWhatCodingDoesNotShrink) {
  const auto random = test::sample_artifact(10);
  std::vector<Buffer> pages = test::SampleArtifact(random).pages();
  Manifest manifest = random.manifest();
  std::ranges::fill(pages[0], std::byte{5});
  manifest.pages[0].digest = sha256(pages[0]);
  test::SampleArtifact sample(manifest, pages);
  ASSERT_TRUE(real_.run(registry_->import_file(file_of(sample))));
  PageCoder coder;
  for (int time = 0; time < 3; ++time) {
    const auto sent = real_.run(registry_->coded_page(manifest.pages[0].digest));
    ASSERT_TRUE(sent) << to_string(sent.error());
    EXPECT_TRUE(sent->coded);
    EXPECT_LT(sent->bytes->size(), pages[0].size());
    Buffer page(pages[0].size());
    ASSERT_TRUE(coder.decode(*sent->bytes, page));
    EXPECT_EQ(page, pages[0]);
    const auto whole = real_.run(registry_->coded_page(manifest.pages.back().digest));
    ASSERT_TRUE(whole);
    EXPECT_FALSE(whole->coded);
    EXPECT_EQ(*whole->bytes, pages.back());
  }
  EXPECT_EQ(registry_->coded_pages().pages_coded(), 2U);
  EXPECT_EQ(real_.run(registry_->coded_page(sha256({}))).error().code, Errc::kNotFound);
}

TEST_F(ArtifactRegistryTest, GivesOutNothingThatIsNotRegistered) {
  auto sample = test::sample_artifact(8);
  const Digest page = sample.manifest().pages[0].digest;
  ASSERT_TRUE(real_.run(chunks_->put(page, sample.pages()[0])));
  EXPECT_EQ(real_.run(registry_->page(page)).error().code, Errc::kNotFound);
  EXPECT_EQ(real_.run(registry_->manifest(page)).error().code, Errc::kNotFound);
}

}  // namespace
}  // namespace skein
