// LargeMemory: zeroed memory for weights and for measuring how fast it is read, in huge pages where
// the system has them. Owned by whoever makes it; any thread.
#pragma once

#include <cstddef>
#include <memory>

#include "common/base/bytes.h"

namespace skein::tool {

class LargeMemory {
 public:
  explicit LargeMemory(std::size_t bytes);
  ~LargeMemory();
  LargeMemory(const LargeMemory&) = delete;
  LargeMemory& operator=(const LargeMemory&) = delete;
  MutableByteView bytes() const { return {data_, bytes_}; }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_;
};

}  // namespace skein::tool
