#include "kernels/isa/isa.h"

#include <gtest/gtest.h>

namespace skein {
namespace {

TEST(Isa, ScalarIsAlwaysThereAndFirst) {
  ASSERT_FALSE(supported_isas().empty());
  EXPECT_EQ(supported_isas().front(), Isa::kScalar);
}

TEST(Isa, AnEmptyNameIsTheBestOne) {
  EXPECT_EQ(select_isa("").value(), supported_isas().back());
  EXPECT_EQ(current_isa(), supported_isas().back());
  EXPECT_EQ(select_isa("scalar").value(), Isa::kScalar);
  EXPECT_EQ(current_isa(), Isa::kScalar);
}

TEST(Isa, AnUnknownNameIsRefusedNamingWhatThereIs) {
  const auto refused = select_isa("mmx");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUsage);
  EXPECT_NE(to_string(refused.error()).find("scalar"), std::string::npos);
}

}  // namespace
}  // namespace skein
