// An interrupted press goes on where it stopped: what is kept, found again, and never trusted when
// it is torn or another run's.
#include "coordinator/compress/internal/press_journal.h"

#include <gtest/gtest.h>

#include "common/crypto/sha256.h"
#include "coordinator/compress/internal/resumable_press.h"
#include "tests/support/golden_model.h"
#include "tests/support/test_world.h"

namespace skein {
namespace {

// Keeps in memory, and fails at the n-th.
class KeptInMemory final : public FinishedWork {
 public:
  std::optional<ByteView> find(std::string_view key) const override {
    const auto found = kept_.find(key);
    if (found == kept_.end()) return std::nullopt;
    ++finds_;
    return found->second;
  }
  Result<void> keep(std::string_view key, Buffer value) override {
    if (kept_.size() == most_) return fail(Errc::kOutOfRoom, "no room");
    kept_[std::string(key)] = std::move(value);
    return {};
  }
  std::size_t most_ = SIZE_MAX;
  mutable std::size_t finds_ = 0;
  std::map<std::string, Buffer, std::less<>> kept_;
};

class InterruptedPress : public testing::Test {
 protected:
  Result<PressResult> press_with(FinishedWork* finished) {
    CompressionRequest request;
    request.bits_per_weight = 7;
    CompressionPlan plan = *CompressionPlan::make(request);
    plan.calibration_ids = 512;
    plan.sensitivity_ids = 64;
    plan.held_out_ids = 512;
    return press({.checkpoint = checkpoint_,
                  .convert = {.name = "m", .version = "v1"},
                  .text = {},
                  .held_out = {},
                  .parallel = serial_,
                  .finished = finished},
                 plan);
  }
  static Digest digest_of(const PressResult& result) {
    return manifest_digest(encode_manifest(result.artifact->manifest()));
  }
  SerialParallel serial_;
  Buffer file_ = test::golden_file("tiny-128-bf16.safetensors");
  Checkpoint checkpoint_ = *read_checkpoint(file_, "golden");
};

TEST_F(InterruptedPress, GoesOnToTheSameArtifact) {
  const auto whole = press_with(nullptr);
  ASSERT_TRUE(whole) << to_string(whole.error());
  KeptInMemory kept;
  kept.most_ = 20;  // then the disk is full
  const auto cut = press_with(&kept);
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().code, Errc::kOutOfRoom);
  kept.most_ = SIZE_MAX;
  const auto resumed = press_with(&kept);
  ASSERT_TRUE(resumed) << to_string(resumed.error());
  EXPECT_GE(kept.finds_, 20U);
  EXPECT_EQ(digest_of(*resumed), digest_of(*whole));
  for (std::size_t i = 0; i < whole->tensors.size(); ++i) {
    EXPECT_EQ(resumed->tensors[i].output_error, whole->tensors[i].output_error);
    EXPECT_EQ(resumed->tensors[i].alpha, whole->tensors[i].alpha);
  }
}

TEST_F(InterruptedPress, DoesNothingTwiceThatWasFinished) {
  KeptInMemory kept;
  ASSERT_TRUE(press_with(&kept));
  const std::size_t all = kept.kept_.size();
  kept.most_ = all;  // nothing new may be kept
  const auto again = press_with(&kept);
  ASSERT_TRUE(again) << to_string(again.error());
  EXPECT_EQ(kept.finds_, all);
}

class PressJournalTest : public testing::Test {
 protected:
  std::unique_ptr<PressJournal> open(const Digest& run) {
    auto opened = test::run_task(PressJournal::open(world_.env(), kPath, run));
    EXPECT_TRUE(opened) << to_string(opened.error());
    return std::move(*opened);
  }
  // Keeps and writes.
  void keep(PressJournal& journal, std::string_view key, std::string_view value) {
    ASSERT_TRUE(journal.keep(key, to_buffer(value)));
    write(journal);
  }
  static void write(PressJournal& journal) {
    journal.close();
    test::run_task(written(journal));
  }
  static Task<bool> written(PressJournal& journal) {
    co_await journal.write();
    co_return true;
  }
  static std::optional<std::string> text(const PressJournal& journal, std::string_view key) {
    const auto found = journal.find(key);
    return found ? std::optional(std::string(as_text(*found))) : std::nullopt;
  }
  void SetUp() override { world_.disk.place(kPath, {}); }

  const std::string kPath = "out/model.skein.unfinished";
  const Digest run_ = sha256(as_bytes("run"));
  test::TestWorld world_;
};

TEST_F(PressJournalTest, TheSameRunFindsWhatWasKept) {
  keep(*open(run_), "matrix q4 a", "first");
  keep(*open(run_), "matrix q4 b", "");
  const auto journal = open(run_);
  EXPECT_EQ(journal->found(), 2U);
  EXPECT_EQ(text(*journal, "matrix q4 a"), "first");
  EXPECT_EQ(text(*journal, "matrix q4 b"), "");
  EXPECT_EQ(text(*journal, "matrix q5 a"), std::nullopt);
}

TEST_F(PressJournalTest, AnotherRunBeginsAnew) {
  keep(*open(run_), "a", "first");
  EXPECT_EQ(open(sha256(as_bytes("another")))->found(), 0U);
  EXPECT_EQ(open(run_)->found(), 0U);
}

TEST_F(PressJournalTest, WhatIsTornAtTheEndWasNotFinished) {
  keep(*open(run_), "a", "first");
  keep(*open(run_), "b", "second");
  const Buffer whole = world_.disk.contents(kPath);
  for (std::size_t cut = 1; cut < 51; cut += 7) {
    world_.disk.place(kPath, to_buffer(ByteView(whole).first(whole.size() - cut)));
    const auto journal = open(run_);
    EXPECT_EQ(journal->found(), 1U) << cut;
    EXPECT_EQ(text(*journal, "a"), "first");
  }
  world_.disk.place(kPath, to_buffer(ByteView(whole).first(20)));
  EXPECT_EQ(open(run_)->found(), 0U);
}

TEST_F(PressJournalTest, ADamagedRecordEndsWhatIsFound) {
  keep(*open(run_), "a", "first");
  keep(*open(run_), "b", "second");
  Buffer damaged = world_.disk.contents(kPath);
  damaged[damaged.size() - 40] ^= std::byte{1};
  world_.disk.place(kPath, damaged);
  EXPECT_EQ(open(run_)->found(), 1U);
}

TEST_F(PressJournalTest, AFullDiskEndsThePress) {
  const auto journal = open(run_);
  world_.disk.fail_after(0);
  ASSERT_TRUE(journal->keep("a", to_buffer("first")));
  write(*journal);
  EXPECT_FALSE(journal->keep("b", to_buffer("second")));
  EXPECT_FALSE(journal->failure());
}

}  // namespace
}  // namespace skein
