// Logits bit for bit as the committed hashes say, by every instruction set of this CPU, or by the
// one that SKEIN_ISA names.
#include "tests/golden/hashes/golden_hashes.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>

#include "kernels/isa/isa.h"

namespace skein {
namespace {

std::map<std::string, std::string> committed() {
  std::map<std::string, std::string> hashes;
  std::ifstream file(SKEIN_SOURCE_DIR "/tests/golden/hashes/logits.sha256");
  for (std::string model, format, hash; file >> model >> format >> hash;) {
    hashes[model + " " + format] = hash;
  }
  return hashes;
}

std::vector<Isa> wanted_isas() {
  const char* const name = std::getenv("SKEIN_ISA");
  if (name == nullptr) return supported_isas();
  const auto isa = select_isa(name);
  EXPECT_TRUE(isa) << to_string(isa.error());
  return isa ? std::vector{*isa} : std::vector<Isa>{};
}

class GoldenHashes : public testing::TestWithParam<test::GoldenModelKind> {};

TEST_P(GoldenHashes, AreTheSameWhateverInstructionsThreadsAndPasses) {
  const auto expected = committed();
  const std::vector<Isa> isas = wanted_isas();
  ASSERT_FALSE(isas.empty());
  real::ThreadPool threads(3);
  for (const Format format : test::kGoldenFormats) {
    const std::string line = std::string(GetParam().name) + " " + std::string(name_of(format));
    ASSERT_TRUE(expected.contains(line)) << line;
    test::SeededModel seeded(GetParam().shape, format);
    for (const Isa isa : isas) {
      ASSERT_TRUE(select_isa(name_of(isa)));
      const auto model = Model::open(seeded.pages());
      ASSERT_TRUE(model) << to_string(model.error());
      for (const std::string& hash : test::golden_hashes(**model, threads)) {
        EXPECT_EQ(hash, expected.at(line)) << line << " by " << name_of(isa);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Versions, GoldenHashes, testing::ValuesIn(test::kGoldenModels),
                         [](const auto& kind) {
                           std::string name = kind.param.name;
                           std::ranges::replace(name, '.', '_');
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(GoldenFile, HasALineForEveryVersionAndFormatAndNoOther) {
  EXPECT_EQ(committed().size(), std::size(test::kGoldenModels) * std::size(test::kGoldenFormats));
}

}  // namespace
}  // namespace skein
