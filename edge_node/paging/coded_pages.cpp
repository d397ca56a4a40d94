#include "edge_node/paging/internal/coded_pages.h"

#include <algorithm>
#include <atomic>

#include "common/base/check.h"

namespace skein::paging {

CodedPages::CodedPages(const StoredPages& pages, Options options)
    : pages_(pages),
      buffer_bytes_(options.buffer_bytes),
      memory_(std::size_t{options.buffers} * options.buffer_bytes),
      held_(options.buffers, kNothing),
      needed_(options.buffers),
      early_(options.buffers),
      tags_(pages.coded ? pages.offsets.size() : 0),
      has_tag_(tags_.size()) {
  for (std::uint32_t i = 0; i < std::max(1U, options.coders); ++i) {
    coders_.push_back(std::make_unique<Coder>(options.tag_key));
  }
  work_.reserve(options.buffers);
  where_.reserve(options.buffers);
}

const std::byte* CodedPages::at(std::uint32_t page) const {
  const auto found = std::ranges::find(held_, page);
  CHECK(found != held_.end());
  return buffer(static_cast<std::uint32_t>(found - held_.begin())).data();
}

Result<void> CodedPages::decode(const CodedPage& coded, std::byte* out, Coder& coder) {
  const MutableByteView page(out, pages_.manifest.pages[coded.page].bytes);
  Tag tag{};
  bool known = coded.is_verified;
  if (!known && pages_.coded) {
    tag = coder.tagger.of(coded.bytes);
    known = has_tag_[coded.page] != 0 && tags_[coded.page] == tag;
  }
  const auto made =
      known ? coder.coder.decode_again(coded.bytes, page) : coder.coder.decode(coded.bytes, page);
  if (!made) {
    return pages_.does_not_decode(coded.page, made.error());
  }
  if (known) return {};
  TRY_VOID(pages_.check(coded.page, page, coder.hasher));
  if (!pages_.coded) return {};
  tags_[coded.page] = tag;
  has_tag_[coded.page] = 1;
  return {};
}

// work(i, coder) for each; a coder takes the next that is left.
template <class Work>
void CodedPages::share_out(std::size_t count, Parallel& parallel, const Work& work) {
  struct Job {
    CodedPages& pages;
    std::size_t count;
    const Work& work;
    std::atomic<std::size_t> next{0};
    void run(std::size_t coder) {
      for (std::size_t i = next++; i < count; i = next++) work(i, *pages.coders_[coder]);
    }
  } job{*this, count, work};
  run_tasks(parallel, std::min({coders_.size(), parallel.threads(), count}), job);
}

void CodedPages::run(std::span<Kept> work, Parallel& parallel) {
  share_out(work.size(), parallel, [&](std::size_t i, Coder& coder) {
    work[i].result = decode(work[i].coded, work[i].out, coder);
  });
}

Result<void> CodedPages::decode_all(std::span<Kept> pages, Parallel& parallel) {
  run(pages, parallel);
  for (Kept& page : pages) TRY_VOID(std::move(page.result));
  return {};
}

Result<void> CodedPages::code_all(std::span<Coding> pages, Parallel& parallel) {
  share_out(pages.size(), parallel, [&](std::size_t i, Coder& coder) {
    Coding& page = pages[i];
    page.result = pages_.check(page.page, page.bytes, coder.hasher);
    if (page.result) page.coded = coder.coder.code(page.bytes, page.parts);
  });
  for (Coding& page : pages) TRY_VOID(std::move(page.result));
  return {};
}

void CodedPages::end_coding() {
  for (auto& coder : coders_) coder->coder = PageCoder();
}

std::size_t CodedPages::buffer_of(std::uint32_t page) const {
  return static_cast<std::size_t>(std::ranges::find(held_, page) - held_.begin());
}

// Buffers of these pages are not given to others.
void CodedPages::claim(std::span<const CodedPage> pages) {
  work_.clear();
  where_.clear();
  std::ranges::fill(needed_, std::uint8_t{0});
  for (const CodedPage& coded : pages) {
    const std::size_t buffer = buffer_of(coded.page);
    if (buffer < held_.size()) needed_[buffer] = 1;
  }
}

// One that holds nothing of use, or, if there is none, a page that was decoded ahead.
void CodedPages::give_buffer(const CodedPage& page) {
  const auto is_free = [&](std::uint32_t i) { return needed_[i] == 0 && early_[i] == 0; };
  std::uint32_t tried = 0;
  for (; tried < buffers() && !is_free(next_); ++tried) next_ = (next_ + 1) % buffers();
  while (needed_[next_] != 0) next_ = (next_ + 1) % buffers();
  needed_[next_] = 1;
  held_[next_] = page.page;
  where_.push_back(next_);
  work_.push_back({page, buffer(next_).data(), {}});
}

Result<void> CodedPages::decode_given(Parallel& parallel) {
  run(work_, parallel);
  Result<void> outcome;
  for (std::size_t i = 0; i < work_.size(); ++i) {
    if (work_[i].result) continue;
    held_[where_[i]] = kNothing;
    if (outcome) outcome = std::move(work_[i].result);
  }
  return outcome;
}

Result<void> CodedPages::bring(std::span<const CodedPage> pages, Parallel& parallel) {
  CHECK(pages.size() <= held_.size());
  claim(pages);
  for (const CodedPage& coded : pages) {
    if (buffer_of(coded.page) == held_.size()) give_buffer(coded);
  }
  for (std::size_t i = 0; i < held_.size(); ++i) early_[i] &= needed_[i] == 0 ? 1 : 0;
  return decode_given(parallel);
}

bool CodedPages::ahead(std::span<const CodedPage> next, Parallel& parallel) {
  // What is read comes coded, too, and takes buffers.
  const std::size_t most = pages_.coded ? buffers() / 2 : buffers();
  next = next.first(std::min(next.size(), most));
  claim(next);
  early_ = needed_;
  for (const CodedPage& coded : next) {
    if (work_.size() == coders_.size()) break;
    if (buffer_of(coded.page) == held_.size()) give_buffer(coded);
  }
  for (const std::uint32_t given : where_) early_[given] = 1;
  // What went wrong is told to whoever brings it.
  (void)decode_given(parallel);
  return !work_.empty();
}

}  // namespace skein::paging
