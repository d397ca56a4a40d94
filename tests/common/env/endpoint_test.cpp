#include <gtest/gtest.h>

#include "common/env/network.h"

namespace skein {
namespace {

TEST(Endpoint, WhatHasNoHostOrPortIsRefusedAndNamed) {
  for (const char* text :
       {"", ":", ":80", "host", "host:", "host:x", "host:-1", "host:+1", "host:65536", "host:80 ",
        "[::1:80", "[]:80", "host:99999999999999999999"}) {
    const auto endpoint = parse_endpoint(text);
    ASSERT_FALSE(endpoint) << text;
    EXPECT_EQ(endpoint.error().code, Errc::kUsage) << text;
    EXPECT_EQ(endpoint.error().where, text);
    EXPECT_FALSE(endpoint.error().remedy.empty());
  }
}

TEST(Endpoint, TheHighestAndLowestPortsAreRead) {
  EXPECT_EQ(parse_endpoint("robot.local:65535")->port, 65535);
  EXPECT_EQ(parse_endpoint("0.0.0.0:0")->port, 0);
  EXPECT_EQ(to_string(*parse_endpoint("[fe80::1]:7070")), "[fe80::1]:7070");
}

}  // namespace
}  // namespace skein
