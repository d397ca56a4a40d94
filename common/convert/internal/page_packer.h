// PagePacker: fills pages and the manifest's lists of pages and segments together. Small tensors
// share the open page; large ones are cut into row groups with a page each. Equal pages are stored
// once. Owned by one conversion; one thread.
#pragma once

#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "common/convert/internal/plan.h"

namespace skein::internal {

// A page's bytes at 64-byte alignment.
class PageMemory {
 public:
  explicit PageMemory(std::uint32_t bytes)
      : lines_(std::make_unique<Line[]>((bytes + sizeof(Line) - 1) / sizeof(Line))),
        bytes_(bytes) {}
  MutableByteView bytes() { return {lines_[0].bytes, bytes_}; }
  ByteView bytes() const { return {lines_[0].bytes, bytes_}; }

 private:
  struct Line {
    alignas(kSegmentAlignment) std::byte bytes[kSegmentAlignment];
  };
  std::unique_ptr<Line[]> lines_;
  std::uint32_t bytes_;
};

class PagePacker {
 public:
  PagePacker(Manifest& manifest, std::vector<PageMemory>& pages, bool hash_pages,
             MatrixEncoder* encoder = nullptr);
  // The last page is closed.
  Result<void> finish() { return close(); }

  // Appends the tensor to manifest.tensors and its bytes to pages, and what is derived from it.
  Result<void> add_tensor(const TensorPlan& plan);
  // Whole runs of bytes as pages of their own.
  Result<void> add_vocabulary(ByteView file);
  // A page that is already made; `known` spares the hashing.
  Result<std::uint32_t> add_page(ByteView bytes, const Digest* known = nullptr);

 private:
  struct Pending {  // a segment of the open page, whose index is not known yet
    std::size_t tensor = 0;
    std::uint32_t offset = 0;
    TensorPlan plan;
    Buffer made;  // its bytes, when an encoder made them
  };
  Result<void> close();
  struct Derived {
    CheckpointTensor tensor;
    std::vector<std::uint16_t> values;  // its data
  };
  Result<Buffer> encoded(const TensorPlan& plan, const TensorEntry& entry);
  Result<void> add_stored(const TensorPlan& plan);
  Result<void> add_row_groups(const TensorPlan& plan, std::size_t tensor, std::uint64_t bytes,
                              ByteView made);
  Result<void> add_bounds(const TensorPlan& plan);
  Result<std::uint32_t> keep(PageMemory page, const Digest* known);

  Manifest& manifest_;
  std::vector<PageMemory>& pages_;
  bool hash_pages_;
  MatrixEncoder* encoder_;
  std::unordered_map<Digest, std::uint32_t> by_digest_;
  std::vector<Pending> open_;
  std::deque<Derived> derived_;  // until their pages are closed; plans point into it
  std::uint32_t open_bytes_ = 0;
  std::uint32_t open_group_ = 0;
};

}  // namespace skein::internal
