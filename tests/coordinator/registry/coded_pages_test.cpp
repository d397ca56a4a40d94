#include "coordinator/registry/internal/coded_pages.h"

#include <gtest/gtest.h>

#include "common/crypto/sha256.h"
#include "common/env/real/real_env.h"

namespace skein {
namespace {

class CodedPagesTest : public testing::Test {
 protected:
  static Buffer page_of(unsigned char number) {
    Buffer page(4096);
    for (std::size_t i = 0; i < page.size(); ++i) page[i] = static_cast<std::byte>(i % 7 + number);
    return page;
  }
  std::shared_ptr<const Buffer> code(CodedPages& pages, const Buffer& page) {
    return real_.run(pages.code(sha256(page), page, {}));
  }
  RealEnv real_{{.compute_threads = 2, .log_level = LogLevel::kError}};
};

TEST_F(CodedPagesTest, KeepsWhatItMade) {
  CodedPages pages(real_.env());
  const Buffer page = page_of(1);
  EXPECT_EQ(pages.find(sha256(page)), nullptr);
  const auto coded = code(pages, page);
  EXPECT_LT(coded->size(), page.size());
  EXPECT_EQ(pages.find(sha256(page)), coded);
  EXPECT_EQ(code(pages, page), coded);
  EXPECT_EQ(pages.pages_coded(), 1U);
}

TEST_F(CodedPagesTest, TheLeastRecentlySentLeaveAtTheLimit) {
  const std::size_t one = code(*std::make_unique<CodedPages>(real_.env()), page_of(0))->size();
  CodedPages pages(real_.env(), 3 * (one + 300));
  for (unsigned char number = 0; number < 3; ++number) code(pages, page_of(number));
  EXPECT_NE(pages.find(sha256(page_of(0))), nullptr);
  code(pages, page_of(3));
  EXPECT_NE(pages.find(sha256(page_of(0))), nullptr);
  EXPECT_EQ(pages.find(sha256(page_of(1))), nullptr);
  for (unsigned char number = 4; number < 100; ++number) {
    code(pages, page_of(number));
    ASSERT_LE(pages.bytes(), 3 * (one + 300));
  }
}

TEST_F(CodedPagesTest, DevicesThatAskAtOnceShareOneCoding) {
  CodedPages pages(real_.env());
  TaskGroup devices(real_.env().executor);
  int answered = 0;
  auto ask = [](CodedPages& from, Buffer page, int& count) -> Task<void> {
    const auto coded = co_await from.code(sha256(page), page, {});
    count += coded->empty() ? 0 : 1;
  };
  for (int device = 0; device < 20; ++device) {
    devices.spawn(ask(pages, page_of(static_cast<unsigned char>(device % 2)), answered));
  }
  while (answered < 20) real_.run(real_.env().clock.sleep_for(std::chrono::milliseconds(1)));
  EXPECT_EQ(pages.pages_coded(), 2U);
  real_.run(devices.stop());
}

TEST_F(CodedPagesTest, WhoeverFindsTheLineFullSendsThePageAsItIs) {
  CodedPages pages(real_.env());
  TaskGroup devices(real_.env().executor);
  int coded = 0;
  int line_full = 0;
  auto ask = [](CodedPages& from, Buffer page, int& made, int& full) -> Task<void> {
    const auto answer = co_await from.code(sha256(page), page, {});
    (answer ? made : full) += 1;
  };
  const int asking = static_cast<int>(kMaxWaitingToCode) + 11;
  for (int device = 0; device < asking; ++device) {
    const Buffer page = page_of(static_cast<unsigned char>(device));
    devices.spawn(ask(pages, page, coded, line_full));
  }
  while (coded + line_full < asking) {
    real_.run(real_.env().clock.sleep_for(std::chrono::milliseconds(1)));
  }
  EXPECT_EQ(coded, static_cast<int>(kMaxWaitingToCode) + 1);
  EXPECT_EQ(line_full, 10);
  EXPECT_EQ(pages.pages_coded(), static_cast<std::uint64_t>(coded));
  real_.run(devices.stop());
}

}  // namespace
}  // namespace skein
