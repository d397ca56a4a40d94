// AlignedMemory: a fixed stretch of memory that reads may go to directly. Owned by whoever makes
// it. Untouched, it costs nothing.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

#include "common/base/bytes.h"
#include "common/env/block_reads.h"

namespace skein::paging {

class AlignedMemory {
 public:
  AlignedMemory() = default;
  explicit AlignedMemory(std::size_t bytes)
      : data_(static_cast<std::byte*>(::operator new(bytes, kAlignment))), bytes_(bytes) {}
  std::byte* data() const { return data_.get(); }
  std::size_t size() const { return bytes_; }
  MutableByteView bytes() const { return {data_.get(), bytes_}; }

 private:
  static constexpr std::align_val_t kAlignment{BlockReads::kMostAlignment};
  struct Free {
    void operator()(std::byte* at) const { ::operator delete(at, kAlignment); }
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t bytes_ = 0;
};

}  // namespace skein::paging
