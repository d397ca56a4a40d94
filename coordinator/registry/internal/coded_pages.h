// CodedPages: the coded forms of pages that devices ask for, each made once and kept in memory as
// long as there is room. Owned by the ArtifactRegistry; loop thread only, the coding itself runs on
// Compute, one page at a time.
#pragma once

#include <list>
#include <memory>
#include <unordered_map>
#include <vector>

#include "common/base/digest.h"
#include "common/coding/page_coding.h"
#include "common/env/env.h"

namespace skein {

inline constexpr std::uint64_t kMaxCodedBytes = 256ULL << 20;  // the least recently sent leave
inline constexpr std::size_t kMaxWaitingToCode = 64;  // more are told to send the page as it is

class CodedPages {
 public:
  explicit CodedPages(Env env, std::uint64_t most_bytes = kMaxCodedBytes);
  CodedPages(const CodedPages&) = delete;
  CodedPages& operator=(const CodedPages&) = delete;

  // Nothing where the page is not kept. An empty buffer: coding makes the page no smaller.
  std::shared_ptr<const Buffer> find(const Digest& page);
  // The coded form of `page`, named `digest`, which holds `parts`; made unless it is kept by now.
  // Nothing when kMaxWaitingToCode others wait for theirs.
  Task<std::shared_ptr<const Buffer>> code(Digest digest, Buffer page,
                                           std::vector<PageSegment> parts);

  std::uint64_t pages_coded() const { return pages_coded_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  struct Kept {
    Digest digest;
    std::shared_ptr<const Buffer> coded;
  };
  void keep(const Digest& digest, std::shared_ptr<const Buffer> coded);

  Env env_;
  std::uint64_t most_bytes_;
  std::list<Kept> kept_;  // the last sent first
  std::unordered_map<Digest, std::list<Kept>::iterator> places_;
  std::uint64_t bytes_ = 0;
  std::uint64_t pages_coded_ = 0;
  PageCoder coder_;
  bool coding_ = false;  // somebody uses coder_
  std::size_t waiting_ = 0;
  Signal coded_;
};

}  // namespace skein
