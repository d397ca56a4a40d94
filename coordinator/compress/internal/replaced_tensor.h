// ReplacedTensor: a model's pages with one tensor stored otherwise, to run the model with. Owned by
// its user, who keeps the base alive; one thread.
#pragma once

#include <memory>

#include "common/artifact/page_source.h"

namespace skein {

class ReplacedTensor final : public PageSource {
 public:
  // `tensor`: one of the base's, in its new form, without segments.
  ReplacedTensor(PageSource& base, TensorEntry tensor);
  // Its stored bytes, zero at first.
  MutableByteView bytes();

  const Manifest& manifest() const override { return manifest_; }
  Result<ByteView> page(PageIndex index) override;
  Result<void> read(PageIndex index, std::uint64_t offset, MutableByteView out) override;

 private:
  struct Line {
    alignas(kSegmentAlignment) std::byte bytes[kSegmentAlignment];
  };
  PageSource& base_;
  Manifest manifest_;  // without a tokenizer
  std::unique_ptr<Line[]> lines_;
  std::uint64_t size_;
};

}  // namespace skein
