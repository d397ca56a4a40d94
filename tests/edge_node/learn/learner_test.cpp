#include "edge_node/learn/learner.h"

#include <gtest/gtest.h>

#include "common/crypto/sha256.h"
#include "common/pack/pack.h"
#include "tests/support/golden_model.h"
#include "tests/support/test_world.h"

namespace skein {
namespace {

constexpr RoundId kRound{7};

// A coordinator's side of uploads, and a link that can break after a number of calls.
class FakeCoordinator {
 public:
  CoordinatorCall call() {
    return [this](Message request, Buffer payload) {
      return answer(std::move(request), std::move(payload));
    };
  }

  std::optional<UploadBegin> begun;
  Buffer received;
  bool counted = false;
  int calls = 0;
  int breaks_after = -1;  // calls; -1: never
  std::optional<Error> refuses;

 private:
  Task<Result<Envelope>> answer(Message request, Buffer payload) {
    ++calls;
    if (breaks_after >= 0 && calls > breaks_after) {
      co_return fail(Errc::kUnavailable, "the link is down");
    }
    if (refuses) co_return tl::unexpected(*refuses);
    if (const auto* begin = std::get_if<UploadBegin>(&request)) {
      if (begun && begun->content != begin->content) received.clear();
      begun = *begin;
    } else {
      const auto& chunk = std::get<UploadChunk>(request);
      EXPECT_EQ(chunk.offset, received.size());
      append(received, payload);
    }
    counted = begun && received.size() == begun->bytes && sha256(received) == begun->content;
    co_return Envelope{UploadStatus{.have_bytes = received.size(), .complete = counted}, {}};
  }
};

struct Given {
  Given() {
    std::string text;
    for (int i = 0; i < 12; ++i) text += "arm 3: joint warm, slow down. ";
    world.disk.place("text/own.txt", to_buffer(text));
  }
  LearnerOptions options() const {
    return {
        .directory = "learn", .text_path = "text/own.txt", .consent = true, .chunk_bytes = 4096};
  }
  RoundOffer offer() const {
    return {.round = kRound,
            .artifact = golden.digest,
            .learning_rate = 0.05F,
            .epochs = 2,
            .context = 32,
            .clip = 1,
            .max_tokens = 100};
  }
  // A new process each time: only the disk and the coordinator remember.
  Result<LearnReport> take_part(RoundOffer offer, LearnerOptions how) {
    Learner learner(world.env(), std::move(how));
    return test::run_task(
        learner.take_part(std::move(offer), {golden.digest, golden.model}, coordinator.call()));
  }
  Result<LearnReport> take_part() { return take_part(offer(), options()); }

  test::TestWorld world;
  test::GoldenModel golden;
  FakeCoordinator coordinator;
};

TEST(Learner, TrainsOnItsOwnTextAndUploadsWhatItLearned) {
  Given given;
  const auto report = given.take_part();
  ASSERT_TRUE(report) << to_string(report.error());
  EXPECT_TRUE(report->counted);
  EXPECT_EQ(report->tokens, 100);
  EXPECT_LT(report->loss_after, report->loss_before);
  // Then the coordinator holds the packed update, bit for bit, in several chunks
  EXPECT_TRUE(given.coordinator.counted);
  EXPECT_GT(given.coordinator.calls, 3);
  EXPECT_EQ(given.coordinator.begun->loss_after, report->loss_after);
  EXPECT_EQ(given.coordinator.received.size(), report->packed_bytes);
  const auto values = unpack_floats(given.coordinator.received, 1U << 20);
  ASSERT_TRUE(values);
  const ModelConfig& config = given.golden.model->config();
  EXPECT_EQ(values->size(), config.layers * config.heads * config.head_size * config.head_size);
  EXPECT_EQ(values->size() * 4, report->raw_bytes);
}

TEST(Learner, ARestartResumesTheSameUploadWithoutTrainingAgain) {
  Given given;
  // Given a link that breaks in the middle of the upload
  given.coordinator.breaks_after = 3;
  const auto first = given.take_part();
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().code, Errc::kUnavailable);
  const std::size_t arrived = given.coordinator.received.size();
  ASSERT_GT(arrived, 0U);
  const Digest content = given.coordinator.begun->content;
  // When the device starts anew, with another text by now
  given.world.disk.crash(test::MemoryDisk::Cut::kForgetsUnsynced);
  given.world.disk.place("text/own.txt", to_buffer(std::string_view("something else")));
  given.coordinator.breaks_after = -1;
  const std::uint64_t jobs = given.world.compute.jobs;
  const auto second = given.take_part();
  // Then the same update goes on where it stopped
  ASSERT_TRUE(second) << to_string(second.error());
  EXPECT_TRUE(second->counted);
  EXPECT_EQ(given.coordinator.begun->content, content);
  EXPECT_EQ(given.world.compute.jobs, jobs);
}

TEST(Learner, ARoundOnceCountedIsNeitherTrainedNorSentAgain) {
  Given given;
  const auto first = given.take_part();
  ASSERT_TRUE(first);
  const int calls = given.coordinator.calls;
  const auto again = given.take_part();
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->counted);
  EXPECT_EQ(again->loss_after, first->loss_after);
  EXPECT_EQ(given.coordinator.calls, calls);
}

TEST(Learner, WithoutConsentNothingIsReadOrSent) {
  Given given;
  LearnerOptions options = given.options();
  options.consent = false;
  const std::uint64_t operations = given.world.disk.operations();
  const auto report = given.take_part(given.offer(), options);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, Errc::kRefused);
  EXPECT_EQ(given.world.disk.operations(), operations);
  EXPECT_EQ(given.coordinator.calls, 0);
}

TEST(Learner, ARoundThatClosedIsLeftAlone) {
  Given given;
  given.coordinator.refuses = Error{Errc::kConflict, "the round has closed", {}, {}};
  const auto report = given.take_part();
  ASSERT_TRUE(report) << to_string(report.error());
  EXPECT_FALSE(report->counted);
  const int calls = given.coordinator.calls;
  ASSERT_TRUE(given.take_part());
  EXPECT_EQ(given.coordinator.calls, calls);
}

TEST(Learner, ADamagedKeptUpdateIsTrainedAgainToTheSameBits) {
  Given given;
  given.coordinator.breaks_after = 1;
  ASSERT_FALSE(given.take_part());
  const Digest content = given.coordinator.begun->content;
  for (const std::string& path : given.world.disk.paths()) {
    if (path.ends_with(".update")) given.world.disk.contents(path)[40] ^= std::byte{1};
  }
  given.coordinator.breaks_after = -1;
  const auto report = given.take_part();
  ASSERT_TRUE(report) << to_string(report.error());
  EXPECT_TRUE(report->counted);
  EXPECT_EQ(given.coordinator.begun->content, content);
}

TEST(Learner, RefusesWhatItCannotDo) {
  Given given;
  RoundOffer other_base = given.offer();
  other_base.artifact = sha256(as_bytes("another"));
  EXPECT_EQ(given.take_part(other_base, given.options()).error().code, Errc::kConflict);
  RoundOffer endless = given.offer();
  endless.epochs = 1'000'000;
  EXPECT_EQ(given.take_part(endless, given.options()).error().code, Errc::kRefused);
  LearnerOptions without_text = given.options();
  without_text.text_path = "text/none.txt";
  EXPECT_EQ(given.take_part(given.offer(), without_text).error().code, Errc::kNotFound);
  EXPECT_EQ(given.coordinator.calls, 0);
}

TEST(Learner, ForgetsTheOldestRounds) {
  Given given;
  for (std::uint64_t round = 1; round <= 20; ++round) {
    RoundOffer offer = given.offer();
    offer.round = RoundId(round);
    offer.max_tokens = 8;
    given.coordinator.received.clear();
    ASSERT_TRUE(given.take_part(offer, given.options()));
  }
  std::size_t kept = 0;
  for (const std::string& path : given.world.disk.paths()) kept += path.ends_with(".update");
  EXPECT_EQ(kept, 16U);
}

}  // namespace
}  // namespace skein
