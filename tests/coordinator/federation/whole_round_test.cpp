// A whole round with real devices: Learners that train on different texts and talk to the
// RoundController through links that break.
#include <gtest/gtest.h>

#include "edge_node/learn/learner.h"
#include "tests/coordinator/federation/round_world.h"

namespace skein {
namespace {

// Every third request is lost, or answered but the answer is lost.
class BadLink {
 public:
  BadLink(test::RoundWorld& world, DeviceId device) : world_(world), device_(device) {}
  CoordinatorCall call() {
    return [this](Message request, Buffer payload) {
      return carry(std::move(request), std::move(payload));
    };
  }

 private:
  Task<Result<Envelope>> carry(Message request, Buffer payload) {
    ++calls_;
    if (calls_ % 6 == 2) co_return fail(Errc::kUnavailable, "the request was lost");
    Result<UploadStatus> status = fail(Errc::kUsage, "not an upload");
    if (auto* begin = std::get_if<UploadBegin>(&request)) {
      status = co_await world_.controller->begin_upload(device_, *begin);
    } else if (auto* chunk = std::get_if<UploadChunk>(&request)) {
      status = co_await world_.controller->take_chunk(device_, *chunk, std::move(payload));
    }
    if (calls_ % 6 == 5) co_return fail(Errc::kDeadline, "the answer was lost");
    if (!status) co_return tl::unexpected(status.error());
    co_return Envelope{*status, {}};
  }

  test::RoundWorld& world_;
  DeviceId device_;
  int calls_ = 0;
};

// What the edge does at every heartbeat.
void heartbeat(test::RoundWorld& given, BadLink& link, test::TestWorld& device, DeviceId id) {
  const auto offer = given.controller->offer_for(id, given.golden.digest);
  ASSERT_TRUE(offer);
  if (!offer->has_value()) return;
  Learner learner(
      device.env(),
      {.directory = "learn", .text_path = "own.txt", .consent = true, .chunk_bytes = 6000});
  const LoadedModel model{given.golden.digest, given.golden.model};
  (void)test::run_task(learner.take_part(**offer, model, link.call()));
}

TEST(WholeRound, DevicesWithDifferentTextsImproveWhatNoneOfThemHas) {
  test::RoundWorld given;
  given.world.disk.place("held/out.txt", to_buffer("arm 3: joint warm. arm 4: joint cold. "));
  const RoundId round = given.open_round(3, 3);
  test::TestWorld devices[3];
  std::vector<BadLink> links;
  for (std::uint64_t i = 0; i < 3; ++i) {
    std::string text;
    for (int line = 0; line < 5; ++line) text += "arm " + std::to_string(i) + ": joint warm. ";
    devices[i].disk.place("own.txt", to_buffer(text));
    links.emplace_back(given, DeviceId(i + 1));
  }
  for (int beat = 0; beat < 12; ++beat) {
    for (std::uint64_t i = 0; i < 3; ++i) {
      heartbeat(given, links[i], devices[i], DeviceId(i + 1));
    }
    ASSERT_TRUE(given.tick());
    if (beat == 2) ASSERT_TRUE(given.restart());
  }
  const RoundStatus status = given.status(round);
  EXPECT_EQ(status.record.phase, RoundPhase::kPublished) << status.record.reason;
  EXPECT_EQ(status.counted, 3U);
  EXPECT_LT(status.device_loss_after, status.device_loss_before);
  EXPECT_LT(*status.record.candidate_loss, *status.record.base_loss);
  EXPECT_EQ(given.published.size(), 1U);
}

}  // namespace
}  // namespace skein
