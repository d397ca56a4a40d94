#include "common/base/ids.h"

#include <gtest/gtest.h>

#include <concepts>
#include <unordered_set>

namespace skein {
namespace {

static_assert(!std::convertible_to<std::uint32_t, PageIndex>);
static_assert(!std::convertible_to<PageIndex, std::uint32_t>);
static_assert(!std::convertible_to<PageIndex, LayerIndex>);
static_assert(!std::equality_comparable_with<PageIndex, LayerIndex>);
static_assert(!std::equality_comparable_with<DeviceId, SessionId>);

TEST(Strong, ComparesOrdersAndHashesAsItsNumber) {
  EXPECT_EQ(PageIndex(3), PageIndex(3));
  EXPECT_LT(Step(9), Step(10));
  EXPECT_EQ(PageIndex().value(), 0U);
  const std::unordered_set<DeviceId> devices = {DeviceId(1), DeviceId(2), DeviceId(1)};
  EXPECT_EQ(devices.size(), 2U);
  EXPECT_TRUE(devices.contains(DeviceId(2)));
}

}  // namespace
}  // namespace skein
