// One message of every type, with content drawn from a seed. For tests and for fuzz seeds.
#pragma once

#include <random>

#include "common/wire/messages.h"

namespace skein::test {

class RandomMessages {
 public:
  explicit RandomMessages(std::uint64_t seed) : bits_(seed) {}

  // `kind` counts through the variant's alternatives.
  static constexpr std::size_t kKinds = std::variant_size_v<Message>;
  Message make(std::size_t kind) { return make_kind(kind, std::make_index_sequence<kKinds>()); }

  std::uint64_t number() { return bits_() >> (bits_() % 64); }
  std::uint32_t small() { return static_cast<std::uint32_t>(number()); }
  std::string text(std::size_t longest = 60) {
    static constexpr const char* kLetters[] = {"a", "Z", "7", " ", "\n", "é", "щ", "字", "🦆"};
    std::string out;
    for (std::size_t left = bits_() % (longest / 4); left > 0; --left) {
      out += kLetters[bits_() % std::size(kLetters)];
    }
    return out;
  }
  Digest digest() {
    Digest out;
    for (std::byte& byte : out.bytes) byte = static_cast<std::byte>(bits_());
    return out;
  }

 private:
  template <std::size_t... kIndex>
  Message make_kind(std::size_t kind, std::index_sequence<kIndex...>) {
    Message out;
    const auto fill_one = [&]<std::size_t kAt>() {
      std::variant_alternative_t<kAt, Message> message;
      fill(message);
      out = std::move(message);
    };
    ((kind == kIndex ? fill_one.template operator()<kIndex>() : void()), ...);
    return out;
  }

  double real() { return std::uniform_real_distribution<double>(-5, 5)(bits_); }
  bool coin() { return (bits_() & 1) != 0; }
  DeviceStep step() { return static_cast<DeviceStep>(1 + bits_() % 8); }

  void fill(EnrolRequest& m) { m = {text(), text(), text(kMaxPem)}; }
  void fill(EnrolReply& m) {
    m = {DeviceId(number()), text(kMaxPem), text(kMaxPem), digest().bytes};
  }
  void fill(StepReport& m) {
    m = {RolloutId(number()), digest(), step(), text(), number(), small()};
  }
  void fill(Heartbeat& m) {
    m.inventory = {text(), text(), small(), number(), number(), {}};
    for (std::size_t i = bits_() % (kMaxLabels + 1); i > 0; --i) {
      m.inventory.labels.emplace_back(text(), text());
    }
    if (coin()) m.active = digest();
    if (coin()) m.previous = digest();
    m.slot_generation = number();
    m.steps.resize(bits_() % (kMaxStepReports + 1));
    for (StepReport& report : m.steps) fill(report);
  }
  void fill(HeartbeatReply& m) {
    m.wall_seconds = static_cast<std::int64_t>(bits_());
    m.interval_ms = small();
    for (std::size_t i = bits_() % (kMaxStepReports + 1); i > 0; --i) {
      m.recorded.emplace_back(RolloutId(number()), step());
    }
    if (coin()) m.offer = UpdateOffer{RolloutId(number()), digest(), number()};
    if (coin()) {
      m.round = RoundOffer{
          RoundId(number()),          digest(), static_cast<float>(real()), small(), small(),
          static_cast<float>(real()), small()};
    }
  }
  void fill(Ack&) {}
  void fill(ErrorReply& m) {
    m.error = {static_cast<Errc>(1 + bits_() % 13), text(), text(), text()};
  }
  void fill(FetchManifest& m) { m.artifact = digest(); }
  void fill(ManifestPart& m) { m = {number(), number()}; }
  void fill(FetchPages& m) {
    m.pages.resize(bits_() % (kMaxPagesPerFetch + 1));
    for (Digest& page : m.pages) page = digest();
  }
  void fill(PagePart& m) { m.page = digest(); }
  void fill(SplitOpen& m) { m = {SessionId(number()), digest(), small(), small()}; }
  void fill(SplitOpened& m) { m.next = Step(number()); }
  void fill(SplitStep& m) { m = {SessionId(number()), Step(number()), count()}; }
  void fill(SplitResult& m) { m = {SessionId(number()), Step(number()), count()}; }
  void fill(SplitClose& m) { m.session = SessionId(number()); }
  void fill(UploadBegin& m) {
    m = {RoundId(number()), digest(), number(), number(), number(), real(), real()};
  }
  void fill(UploadChunk& m) { m = {RoundId(number()), number()}; }
  void fill(UploadStatus& m) { m = {number(), coin()}; }
  std::uint32_t count() { return static_cast<std::uint32_t>(bits_() % (kMaxSplitTokens + 1)); }

  std::mt19937_64 bits_;
};

}  // namespace skein::test
