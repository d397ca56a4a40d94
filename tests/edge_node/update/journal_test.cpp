#include "edge_node/update/internal/journal.h"

#include <gtest/gtest.h>

namespace skein {
namespace {

TEST(UpdateJournal, ComesBackAsItWasWritten) {
  UpdateJournal journal;
  Digest artifact;
  artifact.bytes[3] = std::byte{7};
  journal.reports.push_back(
      {RolloutId(3), artifact, DeviceStep::kFailed, "page: \"x\"\n", 1ULL << 40, 12});
  journal.failures.emplace_back(RolloutId(3), 2);
  EXPECT_EQ(decode_journal(encode_journal(journal)).value(), journal);
}

TEST(UpdateJournal, RefusesWhatItDidNotWrite) {
  for (const char* bad :
       {"", "{}", "[]", R"({"reports":[{}],"failures":[]})", R"({"reports":1,"failures":[]})",
        R"({"reports":[],"failures":[{"rollout":-1,"count":1}]})",
        R"({"reports":[{"rollout":1,"artifact":"ab","step":6,"reason":"","bytes":0,"pages":0}],)"
        R"("failures":[]})"}) {
    const auto refused = decode_journal(bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().code, Errc::kCorrupt);
  }
}

}  // namespace
}  // namespace skein
