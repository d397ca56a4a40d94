// Trace: a running hash over everything that happened, and the last lines of it. Any two runs of
// one seed must agree on the hash.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/env/task.h"

namespace skein::sim {

std::uint64_t hash_of(ByteView bytes, std::uint64_t start = 0xcbf29ce484222325);  // FNV-1a

class Trace {
 public:
  void add(Instant at, std::string_view node, std::string_view kind, std::string_view details);
  std::string hash() const;
  std::vector<std::string> recent() const;

  static constexpr std::size_t kMaxRecent = 64;

 private:
  struct Line {
    Instant at;
    std::string node;
    std::string kind;
    std::string details;
  };
  std::uint64_t hash_ = 0xcbf29ce484222325;
  std::deque<Line> recent_;
};

}  // namespace skein::sim
