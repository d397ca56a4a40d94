#include "common/base/result.h"

#include <gtest/gtest.h>

namespace skein {
namespace {

Result<int> half(int value) {
  if (value % 2 != 0) return fail(Errc::kUsage, "odd number", "argument 1", "pass an even one");
  return value / 2;
}

Result<int> quarter(int value) {
  TRY(const int once, half(value));
  TRY(const int twice, half(once));
  return twice;
}

TEST(Result, TryPassesTheValueOnAndReturnsTheFirstError) {
  EXPECT_EQ(quarter(12).value(), 3);
  const auto refused = quarter(6);
  ASSERT_FALSE(refused);
  EXPECT_EQ(to_string(refused.error()), "odd number (argument 1): pass an even one");
}

TEST(Result, EveryKindHasANameAndADocumentedExitCode) {
  for (int code = 1; code <= 13; ++code) {
    const auto errc = static_cast<Errc>(code);
    EXPECT_NE(name_of(errc), "unknown") << code;
    EXPECT_GE(exit_code(errc), 1);
    EXPECT_LE(exit_code(errc), 6);
  }
  EXPECT_EQ(exit_code(Errc::kCorrupt), 3);
  EXPECT_EQ(exit_code(Errc::kRefused), 4);
}

}  // namespace
}  // namespace skein
