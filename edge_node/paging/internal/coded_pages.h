// CodedPages: pages decoded when they are used, side by side, into buffers that never grow. Owned
// by a Pager; a pass's thread, which lends others.
//
// Coded bytes that come from storage are decoded and compared with the page's hash the first time,
// and their tag is remembered; from then on the tag of the coded bytes is compared, which are
// fewer: a decoder gives the same page for the same bytes. Coded bytes that stay in memory were
// verified when they came there.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "common/coding/page_coding.h"
#include "common/crypto/tagger.h"
#include "edge_node/paging/internal/aligned_memory.h"
#include "edge_node/paging/internal/stored_pages.h"
#include "kernels/ops/parallel.h"

namespace skein::paging {

struct CodedPage {
  std::uint32_t page = 0;
  ByteView bytes;
  bool is_verified = false;
};

class CodedPages {
 public:
  struct Options {
    std::uint32_t coders = 1;  // threads that decode, at most
    std::uint32_t buffers = 0;
    std::uint32_t buffer_bytes = 0;
    TagKey tag_key{};
  };
  CodedPages(const StoredPages& pages, Options options);

  std::uint32_t buffers() const { return static_cast<std::uint32_t>(held_.size()); }
  MutableByteView buffer(std::uint32_t index) const {
    return memory_.bytes().subspan(std::size_t{index} * buffer_bytes_, buffer_bytes_);
  }
  // Different pages, at most buffers(); at() of each until the next call. Those that are still in a
  // buffer are not decoded again. Errc::kCorrupt naming the page.
  Result<void> bring(std::span<const CodedPage> pages, Parallel& parallel);
  const std::byte* at(std::uint32_t page) const;
  // While there is nothing else to do and no page is in use: a few of those that are needed next,
  // in that order, as far as buffers go. Whether there was one to decode.
  bool ahead(std::span<const CodedPage> next, Parallel& parallel);

  // To where they stay, compared with their hashes. Once, while a model is opened.
  struct Kept {
    CodedPage coded;
    std::byte* out = nullptr;
    Result<void> result{};
  };
  Result<void> decode_all(std::span<Kept> pages, Parallel& parallel);
  // Pages as they are used, compared with their hashes, then coded. Likewise.
  struct Coding {
    std::uint32_t page = 0;
    ByteView bytes;
    std::span<const PageSegment> parts;
    Buffer coded;
    Result<void> result{};
  };
  Result<void> code_all(std::span<Coding> pages, Parallel& parallel);
  // No more will be coded: decoding takes less memory.
  void end_coding();

 private:
  static constexpr std::uint32_t kNothing = ~0U;
  struct Coder {
    explicit Coder(const TagKey& key) : tagger(key) {}
    PageCoder coder;
    Sha256 hasher;
    Tagger tagger;
  };
  template <class Work>
  void share_out(std::size_t count, Parallel& parallel, const Work& work);
  void run(std::span<Kept> work, Parallel& parallel);
  Result<void> decode(const CodedPage& coded, std::byte* out, Coder& coder);
  std::size_t buffer_of(std::uint32_t page) const;  // held_.size(): in none
  void claim(std::span<const CodedPage> pages);
  void give_buffer(const CodedPage& page);
  Result<void> decode_given(Parallel& parallel);

  const StoredPages& pages_;
  std::uint32_t buffer_bytes_;
  AlignedMemory memory_;
  std::vector<std::uint32_t> held_;   // the page in each buffer
  std::vector<std::uint8_t> needed_;  // the buffer's page is of this call
  std::vector<std::uint8_t> early_;   // the buffer's page was decoded ahead
  std::uint32_t next_ = 0;            // the buffer that is tried next
  std::vector<std::unique_ptr<Coder>> coders_;
  std::vector<Tag> tags_;  // of each page's coded bytes, once they were verified
  std::vector<std::uint8_t> has_tag_;
  std::vector<Kept> work_;            // scratch
  std::vector<std::uint32_t> where_;  // scratch: the buffer of each
};

}  // namespace skein::paging
