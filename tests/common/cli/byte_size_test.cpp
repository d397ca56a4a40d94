#include "common/cli/byte_size.h"

#include <gtest/gtest.h>

namespace skein {
namespace {

std::uint64_t bytes_of(std::string_view text) { return parse_byte_size(text, "here").value_or(0); }

TEST(ByteSize, IsBytesOrANumberWithAUnitOf1024) {
  EXPECT_EQ(bytes_of("1"), 1U);
  EXPECT_EQ(bytes_of("70000000"), 70'000'000U);
  EXPECT_EQ(bytes_of("12b"), 12U);
  EXPECT_EQ(bytes_of("12B"), 12U);
  for (const char* same : {"64K", "64k", "64KB", "64kb", "64KiB", "64kib", "0.0625M", "65536"}) {
    EXPECT_EQ(bytes_of(same), 64U << 10U) << same;
  }
  EXPECT_EQ(bytes_of("300M"), 300U << 20U);
  EXPECT_EQ(bytes_of("2G"), std::uint64_t{2} << 30U);
  EXPECT_EQ(bytes_of("1T"), std::uint64_t{1} << 40U);
}

TEST(ByteSize, MayHaveDecimalsOfWhichNoHalfByteIsLeft) {
  EXPECT_EQ(bytes_of("1.5G"), std::uint64_t{3} << 29U);
  EXPECT_EQ(bytes_of("1.5g"), std::uint64_t{3} << 29U);
  EXPECT_EQ(bytes_of("0.25M"), 1U << 18U);
  EXPECT_EQ(bytes_of("0.3K"), 307U);
  EXPECT_EQ(bytes_of("1000.9"), 1000U);
}

TEST(ByteSize, KeepsEveryByteOfALargeNumber) {
  EXPECT_EQ(bytes_of("1152921504606846975"), kMostByteSize - 1);
  EXPECT_EQ(bytes_of("9007199254740993"), 9'007'199'254'740'993U) << "no double holds it";
}

TEST(ByteSize, RefusesNonsenseInASentenceWithPlaceAndRemedy) {
  for (const char* bad :
       {"",      "M",      "-1",  "-1M",  "+1M", "1X",  "1 M",  " 1M",
        "1M ",   "1MM",    "1BB", "1Bi",  "1i",  ".",   ".5G",  "1.G",
        "1..5G", "1.5.0G", "1e9", "0x10", "inf", "nan", "1,5G", "0.1234567890123456G"}) {
    const auto size = parse_byte_size(bad, "[node] memory_budget");
    ASSERT_FALSE(size) << bad;
    EXPECT_EQ(size.error().code, Errc::kUsage);
    EXPECT_EQ(to_string(size.error()), "'" + std::string(bad) +
                                           "' is not a size ([node] memory_budget): write bytes, "
                                           "or a number with K, M or G, like 300M or 1.5G");
  }
}

TEST(ByteSize, RefusesWhatIsNothingOrTooMuch) {
  for (const char* nothing : {"0", "0M", "0.0G", "0.9", "0.0001K"}) {
    const auto size = parse_byte_size(nothing, "--memory-budget");
    ASSERT_FALSE(size) << nothing;
    EXPECT_NE(to_string(size.error()).find("less than a byte (--memory-budget)"),
              std::string::npos);
  }
  for (const char* much : {"1152921504606846976", "1048576T", "99999999999999999999",
                           "9999999999999G", "18014398509481984K"}) {
    const auto size = parse_byte_size(much, "--memory-budget");
    ASSERT_FALSE(size) << much;
    EXPECT_NE(to_string(size.error()).find("more than can be (--memory-budget)"),
              std::string::npos);
  }
}

TEST(ByteSize, QuotesNoMoreThanAFewLettersOfWhatWasWritten) {
  const auto size = parse_byte_size(std::string(5000, 'x'), "--memory-budget");
  ASSERT_FALSE(size);
  EXPECT_LT(to_string(size.error()).size(), 200U);
}

}  // namespace
}  // namespace skein
