#include "common/wire/messages.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/support/random_messages.h"

namespace skein {
namespace {

using test::RandomMessages;

TEST(Messages, ComeBackAsTheyWere) {
  RandomMessages random(1);
  for (int round = 0; round < 50; ++round) {
    for (std::size_t kind = 0; kind < RandomMessages::kKinds; ++kind) {
      const Message message = random.make(kind);
      const auto back = decode_message(type_of(message), encode_message(message));
      ASSERT_TRUE(back) << name_of(message) << ": " << to_string(back.error());
      EXPECT_EQ(*back, message) << name_of(message);
    }
  }
}

TEST(Messages, ComeBackFromUnalignedBytes) {
  RandomMessages random(2);
  const Message message = random.make(2);
  const Buffer bytes = encode_message(message);
  Buffer shifted(bytes.size() + 1);
  std::copy(bytes.begin(), bytes.end(), shifted.begin() + 1);
  const auto back = decode_message(type_of(message), ByteView(shifted).subspan(1));
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, message);
}

TEST(Messages, EachHasItsOwnNumberAndName) {
  RandomMessages random(3);
  std::set<std::uint16_t> types;
  std::set<std::string_view> names;
  for (std::size_t kind = 0; kind < RandomMessages::kKinds; ++kind) {
    const Message message = random.make(kind);
    types.insert(type_of(message));
    names.insert(name_of(message));
  }
  EXPECT_EQ(types.size(), RandomMessages::kKinds);
  EXPECT_EQ(names.size(), RandomMessages::kKinds);
  EXPECT_EQ(type_of(Ack{}), 5);
  EXPECT_EQ(type_of(UploadStatus{}), 50);
}

TEST(Messages, TheLargestFitTheMessageLimit) {
  const std::string longest(kMaxText, 'x');
  Heartbeat heartbeat;
  heartbeat.inventory.labels.assign(kMaxLabels, {longest, longest});
  StepReport wordy;
  wordy.reason = longest;
  heartbeat.steps.assign(kMaxStepReports, wordy);
  const Buffer bytes = encode_message(heartbeat);
  EXPECT_LE(bytes.size(), kMaxMessageBytes);
  const auto back = decode_message(type_of(heartbeat), bytes);
  ASSERT_TRUE(back) << to_string(back.error());
  EXPECT_EQ(*back, Message(heartbeat));
}

TEST(Messages, WordsForPeopleAreMadeReadable) {
  ErrorReply reply{Error{Errc::kInput, "cannot read \xff\xfe\xed\xa0\x80", std::string(9000, 'y'),
                         "\xf0\x9f\xa6\x86"}};
  const auto back = decode_message(type_of(reply), encode_message(reply));
  ASSERT_TRUE(back) << to_string(back.error());
  const Error& error = std::get<ErrorReply>(*back).error;
  EXPECT_EQ(error.what, "cannot read ?????");
  EXPECT_EQ(error.where.size(), kMaxText);
  EXPECT_EQ(error.remedy, "\xf0\x9f\xa6\x86");
}

TEST(MessagesDeathTest, OurOwnOverlongTextIsABug) {
  const FetchPages request{std::vector<Digest>(kMaxPagesPerFetch + 1)};
  EXPECT_DEATH(encode_message(request), "kMaxPagesPerFetch");
}

}  // namespace
}  // namespace skein
