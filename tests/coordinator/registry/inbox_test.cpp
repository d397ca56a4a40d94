#include "coordinator/registry/inbox.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "common/env/real/real_env.h"
#include "tests/coordinator/support/temp_folder.h"

namespace skein {
namespace {

class InboxTest : public testing::Test {
 protected:
  std::uint64_t begin(std::uint64_t bytes) { return real_.run(inbox_.begin(bytes)).value(); }
  Result<std::uint64_t> append(std::uint64_t id, std::uint64_t offset, std::string part) {
    return real_.run(inbox_.append(id, offset, std::move(part)));
  }
  Result<std::string> complete(std::uint64_t id) { return real_.run(inbox_.complete(id)); }

  test::TempFolder folder_;
  RealEnv real_{{.compute_threads = 1, .log_level = LogLevel::kError}};
  Inbox inbox_{real_.env(), folder_.path()};
};

TEST_F(InboxTest, PartsMakeTheFile) {
  const auto id = begin(10);
  EXPECT_EQ(append(id, 0, "01234"), 5U);
  EXPECT_EQ(complete(id).error().code, Errc::kConflict) << "half of it is missing";
  EXPECT_EQ(append(id, 0, "01234"), 5U) << "a part whose answer was lost comes again";
  EXPECT_EQ(append(id, 5, "56789"), 10U);
  const auto path = complete(id);
  ASSERT_TRUE(path);
  std::stringstream held;
  held << std::ifstream(*path).rdbuf();
  EXPECT_EQ(held.str(), "0123456789");
  ASSERT_TRUE(real_.run(inbox_.remove(id)));
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
  EXPECT_TRUE(real_.run(inbox_.remove(id))) << "safe to repeat";
}

TEST_F(InboxTest, RefusesGapsOverrunsAndStrangers) {
  const auto id = begin(10);
  EXPECT_EQ(append(id, 1, "x").error().code, Errc::kConflict);
  EXPECT_EQ(append(id, 0, std::string(11, 'x')).error().code, Errc::kUsage);
  EXPECT_EQ(append(id + 1, 0, "x").error().code, Errc::kNotFound);
  EXPECT_EQ(real_.run(inbox_.begin(0)).error().code, Errc::kUsage);
  EXPECT_EQ(real_.run(inbox_.begin(kMaxUploadBytes + 1)).error().code, Errc::kUsage);
}

TEST_F(InboxTest, HoldsABoundedNumber) {
  for (std::size_t i = 0; i < kMaxUploads; ++i) begin(1);
  EXPECT_EQ(real_.run(inbox_.begin(1)).error().code, Errc::kOutOfRoom);
  ASSERT_TRUE(real_.run(inbox_.remove(1)));
  EXPECT_TRUE(real_.run(inbox_.begin(1)));
}

}  // namespace
}  // namespace skein
