#include "coordinator/federation/round_store.h"

#include <gtest/gtest.h>

#include "common/crypto/sha256.h"
#include "common/store/database.h"

namespace skein {
namespace {

RoundRecord full_record(RoundId round) {
  RoundRecord record;
  record.round = round;
  record.plan = {.offer = {.round = round,
                           .artifact = sha256(as_bytes("base")),
                           .learning_rate = 0.1F,
                           .epochs = 3,
                           .context = 64,
                           .clip = 0.7F,
                           .max_tokens = 1000},
                 .quorum = 1,
                 .invite = 2,
                 .seconds = 60,
                 .max_update_norm = 12.5};
  record.phase = RoundPhase::kFailed;
  record.reason = "not better";
  record.opened = std::chrono::sys_seconds(std::chrono::seconds(1000));
  record.deadline = record.opened + std::chrono::seconds(60);
  const UploadBegin upload{.round = round,
                           .content = sha256(as_bytes("update")),
                           .bytes = 9,
                           .raw_bytes = 16,
                           .tokens = 77,
                           .loss_before = 4.25,
                           .loss_after = 3.1};
  record.participants = {{DeviceId(2), upload, true}, {DeviceId(1ULL << 63), std::nullopt, false}};
  record.base_loss = 4.0;
  record.candidate_loss = 4.1;
  record.candidate = sha256(as_bytes("candidate"));
  return record;
}

struct Given {
  std::unique_ptr<Database> database = std::move(*Database::open_in_memory());
  std::unique_ptr<RoundStore> store = std::move(*open_round_store(*database));
};

TEST(RoundStore, GivesBackExactlyWhatWasSaved) {
  Given given;
  const RoundRecord record = full_record(RoundId(1));
  ASSERT_TRUE(given.store->save(record));
  const auto loaded = given.store->load(10);
  ASSERT_TRUE(loaded) << to_string(loaded.error());
  ASSERT_EQ(loaded->size(), 1U);
  EXPECT_EQ(loaded->front(), record);
}

TEST(RoundStore, SavingAgainReplaces) {
  Given given;
  RoundRecord record = full_record(RoundId(1));
  record.phase = RoundPhase::kOpen;
  record.participants.clear();
  record.base_loss.reset();
  record.candidate_loss.reset();
  record.candidate.reset();
  ASSERT_TRUE(given.store->save(record));
  ASSERT_TRUE(given.store->save(full_record(RoundId(1))));
  EXPECT_EQ(given.store->load(10)->front(), full_record(RoundId(1)));
}

TEST(RoundStore, NumbersAreNewAndTheNewestAreLoadedInOrder) {
  Given given;
  for (std::uint64_t i = 1; i <= 5; ++i) {
    const auto next = given.store->next_round();
    ASSERT_TRUE(next);
    EXPECT_EQ(next->value(), i);
    ASSERT_TRUE(given.store->save(full_record(*next)));
  }
  const auto loaded = given.store->load(2);
  ASSERT_EQ(loaded->size(), 2U);
  EXPECT_EQ((*loaded)[0].round, RoundId(4));
  EXPECT_EQ((*loaded)[1].round, RoundId(5));
}

TEST(RoundStore, OpensOverItsOwnTablesAgain) {
  Given given;
  ASSERT_TRUE(given.store->save(full_record(RoundId(1))));
  const auto again = open_round_store(*given.database);
  ASSERT_TRUE(again);
  EXPECT_EQ((*again)->load(10)->size(), 1U);
}

TEST(RoundStore, RefusesARowItDoesNotUnderstand) {
  Given given;
  ASSERT_TRUE(given.store->save(full_record(RoundId(1))));
  ASSERT_TRUE(given.database->execute("UPDATE federation_rounds SET phase = 99"));
  EXPECT_EQ(given.store->load(10).error().code, Errc::kCorrupt);
}

}  // namespace
}  // namespace skein
