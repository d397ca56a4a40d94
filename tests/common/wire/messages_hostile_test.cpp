// Bytes from a hostile or damaged side: refused with a sentence, in bounded time and memory.
#include <capnp/message.h>
#include <capnp/serialize.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <random>

#include "common/wire/messages.h"
#include "schemas/control.capnp.h"
#include "schemas/federation.capnp.h"
#include "schemas/split.capnp.h"
#include "schemas/update.capnp.h"
#include "tests/support/allocation_count.h"
#include "tests/support/random_messages.h"

namespace skein {
namespace {

using test::RandomMessages;

struct Bad {
  std::uint16_t type;
  Buffer bytes;
};

template <class Schema>
Buffer build(const std::function<void(typename Schema::Builder)>& fill) {
  capnp::MallocMessageBuilder builder;
  fill(builder.initRoot<Schema>());
  const auto words = capnp::messageToFlatArray(builder);
  const auto bytes = words.asBytes();
  return to_buffer(std::as_bytes(std::span(bytes.begin(), bytes.size())));
}

capnp::Data::Reader data(const std::string& text) {
  return {reinterpret_cast<const capnp::byte*>(text.data()), text.size()};
}

const std::string kDigest(32, 'd');

std::map<std::string, Bad> bad_fields() {
  std::map<std::string, Bad> bad;
  bad["digest_of_31_bytes"] = {
      16, build<schema::FetchManifest>([](auto m) { m.setArtifact(data(std::string(31, 'd'))); })};
  bad["digest_absent"] = {19, build<schema::PagePart>([](auto) {})};
  bad["pages_over_limit"] = {18, build<schema::FetchPages>([](auto m) {
                               auto pages = m.initPages(kMaxPagesPerFetch + 1);
                               for (unsigned i = 0; i < pages.size(); ++i) {
                                 pages.set(i, data(kDigest));
                               }
                             })};
  bad["key_of_33_bytes"] = {
      2, build<schema::EnrolReply>([](auto m) { m.setArtifactKey(data(std::string(33, 'k'))); })};
  bad["token_over_limit"] = {1, build<schema::EnrolRequest>([](auto m) {
                               m.setToken(std::string(kMaxText + 1, 't').c_str());
                             })};
  bad["name_not_utf8"] = {
      1, build<schema::EnrolRequest>([](auto m) { m.setDeviceName("edge \xc0\xaf"); })};
  bad["labels_over_limit"] = {
      3, build<schema::Heartbeat>([](auto m) { m.initInventory().initLabels(kMaxLabels + 1); })};
  bad["reports_over_limit"] = {3, build<schema::Heartbeat>([](auto m) {
                                 for (auto step : m.initSteps(kMaxStepReports + 1)) {
                                   step.setArtifact(data(kDigest));
                                   step.setStep(schema::DeviceStep::STAGED);
                                 }
                               })};
  bad["step_unset"] = {
      3, build<schema::Heartbeat>([](auto m) { m.initSteps(1)[0].setArtifact(data(kDigest)); })};
  bad["step_unknown"] = {4, build<schema::HeartbeatReply>([](auto m) {
                           m.initRecorded(1)[0].setStep(static_cast<schema::DeviceStep>(9));
                         })};
  bad["rate_infinite"] = {4, build<schema::HeartbeatReply>([](auto m) {
                            m.initRound().setArtifact(data(kDigest));
                            m.getRound().setLearningRate(std::numeric_limits<float>::infinity());
                          })};
  bad["error_code_unknown"] = {
      6, build<schema::ErrorReply>([](auto m) { m.setCode(static_cast<schema::ErrorCode>(14)); })};
  bad["count_over_limit"] = {
      34, build<schema::SplitStep>([](auto m) { m.setCount(kMaxSplitTokens + 1); })};
  bad["loss_nan"] = {48, build<schema::UploadBegin>([](auto m) {
                       m.setContent(data(kDigest));
                       m.setLossAfter(std::numeric_limits<double>::quiet_NaN());
                     })};
  return bad;
}

std::map<std::string, Bad> bad_shapes() {
  std::map<std::string, Bad> bad;
  bad["empty"] = {5, {}};
  bad["half_a_word"] = {5, Buffer(12)};
  const Buffer whole = build<schema::FetchManifest>([](auto m) { m.setArtifact(data(kDigest)); });
  bad["cut_short"] = {16, Buffer(whole.begin(), whole.end() - 8)};
  Buffer longer = whole;
  longer.resize(whole.size() + 8);
  bad["bytes_after_the_end"] = {16, longer};
  Buffer segments(8 * 64);
  store_le(MutableByteView(segments), 0, std::uint32_t{99});
  bad["hundred_segments"] = {16, segments};
  Buffer huge = whole;
  store_le(MutableByteView(huge), 4, std::uint32_t{0x1fffffff});
  bad["segment_of_four_gigabytes"] = {16, huge};
  Buffer outside = whole;  // the root pointer leads out of the segment
  store_le(MutableByteView(outside), 8, std::uint64_t{0x00010000'7ffffffc});
  bad["pointer_outside"] = {16, outside};
  return bad;
}

TEST(HostileMessages, AreRefusedWithASentence) {
  auto bad = bad_fields();
  bad.merge(bad_shapes());
  for (const auto& [name, message] : bad) {
    const auto result = decode_message(message.type, message.bytes);
    ASSERT_FALSE(result) << name;
    EXPECT_EQ(result.error().code, Errc::kCorrupt) << name;
    EXPECT_FALSE(result.error().what.empty()) << name;
  }
}

TEST(HostileMessages, AnUnknownTypeIsUnsupported) {
  const auto result = decode_message(7, encode_message(Ack{}));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::kUnsupported);
}

TEST(HostileMessages, OverTheSizeLimitAreRefusedUnread) {
  const Buffer bytes(kMaxMessageBytes + 8);
  EXPECT_FALSE(decode_message(5, bytes));
}

// Decoding may cost a few times the input (a copy and the parsed structs), never more.
void expect_bounded(std::uint16_t type, ByteView bytes) {
  const std::size_t before = test::allocated_bytes;
  const auto result = decode_message(type, bytes);
  const std::size_t used = test::allocated_bytes - before;
  EXPECT_LE(used, 16 * bytes.size() + (64U << 10)) << "type " << type;
  if (result) {
    EXPECT_EQ(type_of(*result), type);
  }
}

TEST(HostileMessages, FlippedBitsNeverCrashOrOverAllocate) {
  RandomMessages random(4);
  std::mt19937_64 bits(5);
  for (std::size_t round = 0; round < 6000; ++round) {
    const Message message = random.make(round % RandomMessages::kKinds);
    Buffer bytes = encode_message(message);
    for (std::uint64_t flips = 1 + bits() % 8; flips > 0; --flips) {
      bytes[bits() % bytes.size()] ^= static_cast<std::byte>(1U << (bits() % 8));
    }
    expect_bounded(type_of(message), bytes);
  }
}

TEST(HostileMessages, TruncatedOnesNeverDecode) {
  RandomMessages random(6);
  for (std::size_t kind = 0; kind < RandomMessages::kKinds; ++kind) {
    const Message message = random.make(kind);
    const Buffer bytes = encode_message(message);
    const std::size_t stride = std::max<std::size_t>(1, bytes.size() / 500);
    for (std::size_t size = 0; size < bytes.size(); size += stride) {
      EXPECT_FALSE(decode_message(type_of(message), ByteView(bytes).first(size)));
    }
  }
}

TEST(HostileMessages, ReadAsAnotherTypeNeverCrash) {
  RandomMessages random(7);
  for (std::size_t kind = 0; kind < RandomMessages::kKinds; ++kind) {
    const Buffer bytes = encode_message(random.make(kind));
    for (std::size_t other = 0; other < RandomMessages::kKinds; ++other) {
      expect_bounded(type_of(random.make(other)), bytes);
    }
  }
}

TEST(HostileMessages, SharedPointersDoNotAmplify) {
  // 256 pointers of a FetchPages all lead to the one digest; then to one long text.
  Buffer bytes = build<schema::FetchPages>([](auto m) {
    auto pages = m.initPages(kMaxPagesPerFetch);
    pages.set(0, data(std::string(256 << 10, 'd')));
  });
  const std::size_t first = 8 + 16;  // table, root pointer, the list pointer; then the elements
  const auto pointer = load_le<std::uint64_t>(bytes, first);
  for (std::size_t i = 1; i < kMaxPagesPerFetch; ++i) {
    store_le(MutableByteView(bytes), first + 8 * i, pointer - (i << 2));
  }
  expect_bounded(18, bytes);
  EXPECT_FALSE(decode_message(18, bytes));
}

// ---- golden files: NN-name.bin, NN the message type. SKEIN_WRITE_GOLDEN=1 makes them anew. ----

const std::filesystem::path kGolden =
    std::filesystem::path(SKEIN_SOURCE_DIR) / "tests" / "golden" / "wire";

Buffer file_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  return to_buffer(std::string_view(text));
}

std::string golden_name(std::uint16_t type, std::string_view name) {
  return std::to_string(type) + "-" + std::string(name) + ".bin";
}

void write_golden(const std::string& folder, const std::string& name, ByteView bytes) {
  std::filesystem::create_directories(kGolden / folder);
  std::ofstream file(kGolden / folder / name, std::ios::binary);
  file << as_text(bytes);
}

void expect_golden(const Message& message, const std::string& suffix) {
  const std::string name = golden_name(type_of(message), std::string(name_of(message)) + suffix);
  if (std::getenv("SKEIN_WRITE_GOLDEN")) write_golden("good", name, encode_message(message));
  const Buffer bytes = file_bytes(kGolden / "good" / name);
  const auto back = decode_message(type_of(message), bytes);
  ASSERT_TRUE(back) << name << ": " << to_string(back.error());
  EXPECT_EQ(*back, message) << name;
  EXPECT_EQ(encode_message(message), bytes) << name << ": the encoding changed";
}

TEST(GoldenMessages, GoodFilesDecodeToWhatTheyWereMadeFrom) {
  RandomMessages random(2026);
  for (std::size_t kind = 0; kind < RandomMessages::kKinds; ++kind) {
    expect_golden(random.make(kind), "");
  }
}

// Fields that came later, in files of their own: the files above are those of the first release.
TEST(GoldenMessages, GoodFilesWithLaterFieldsToo) {
  RandomMessages random(2027);
  expect_golden(FetchPages{{random.digest(), random.digest()}, true}, "-coded");
  expect_golden(PagePart{random.digest(), true}, "-coded");
}

TEST(GoldenMessages, BadFilesAreRefused) {
  if (std::getenv("SKEIN_WRITE_GOLDEN")) {
    auto bad = bad_fields();
    bad.merge(bad_shapes());
    for (const auto& [name, message] : bad) {
      write_golden("bad", golden_name(message.type, name), message.bytes);
    }
  }
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kGolden / "bad")) {
    const auto type = static_cast<std::uint16_t>(std::stoi(entry.path().filename().string()));
    EXPECT_FALSE(decode_message(type, file_bytes(entry.path()))) << entry.path();
    ++files;
  }
  EXPECT_GE(files, 20);
}

}  // namespace
}  // namespace skein
