#include <algorithm>
#include <map>

#include "common/checkpoint/safetensors_header.h"
#include "common/crypto/sha256.h"
#include "common/tensors/packed_tensors.h"

namespace skein {
namespace {

// A tensor of this size gets pages of its own, with statistics of its own; smaller ones share.
constexpr std::uint64_t kOwnPages = 64 * 1024;
constexpr std::size_t kBasePiece = std::size_t{1} << 20;

std::optional<Element> element_of(const SafetensorsEntry& entry) {
  std::optional<Element> element;
  if (entry.dtype == "I8") element = Element::kI8;
  if (entry.dtype == "BF16") element = Element::kBf16;
  if (entry.dtype == "F16") element = Element::kF16;
  if (entry.dtype == "F32") element = Element::kF32;
  if (element && (entry.end - entry.begin) % bytes_of(*element) != 0) return std::nullopt;
  return element;
}

// Stretches one after another, cut into pages; neighbours of one kind share a page.
class PageCutter {
 public:
  void add(std::optional<Element> element, std::uint64_t begin, std::uint64_t end,
           std::optional<std::uint64_t> base) {
    const bool own = end - begin >= kOwnPages;
    if (own) shared_ = false;
    while (begin < end) {
      PackedPage* const page = page_for(element, begin, base);
      const std::uint64_t some =
          std::min<std::uint64_t>(end - begin, kPackedPageBytes - page->bytes);
      page->bytes += static_cast<std::uint32_t>(some);
      begin += some;
      if (base) *base += some;
      shared_ = true;
    }
    if (own) shared_ = false;
  }
  std::vector<PackedPage> pages() && { return std::move(pages_); }

 private:
  PackedPage* page_for(std::optional<Element> element, std::uint64_t begin,
                       std::optional<std::uint64_t> base) {
    if (shared_) {
      PackedPage& last = pages_.back();
      const bool goes_on =
          last.base.has_value() == base.has_value() && (!base || *last.base + last.bytes == *base);
      const bool fits = last.bytes + sizeof(float) <= kPackedPageBytes;
      if (last.element == element && goes_on && fits) return &last;
    }
    pages_.push_back({.element = element, .at = begin, .base = base});
    return &pages_.back();
  }

  std::vector<PackedPage> pages_;
  bool shared_ = false;  // whether the last page may go on
};

using ByName = std::map<std::string_view, const SafetensorsEntry*>;

std::optional<std::uint64_t> base_of(const SafetensorsEntry& entry, const ByName& base) {
  const auto found = base.find(entry.name);
  if (found == base.end()) return std::nullopt;
  const SafetensorsEntry& other = *found->second;
  const bool same =
      other.dtype == entry.dtype && other.end - other.begin == entry.end - entry.begin;
  return same ? std::optional(other.begin) : std::nullopt;
}

}  // namespace

Result<PackedDirectory> plan_pages(NamedFile file, NamedFile base) {
  TRY(const auto entries, read_safetensors_header(file.bytes, file.name));
  std::vector<SafetensorsEntry> base_entries;
  if (!base.bytes.empty()) {
    TRY(base_entries, read_safetensors_header(base.bytes, base.name));
  }
  ByName by_name;
  for (const SafetensorsEntry& entry : base_entries) by_name[entry.name] = &entry;
  PageCutter cutter;
  const std::uint64_t data_at = entries.empty() ? file.bytes.size() : entries.front().begin;
  cutter.add(Element::kI8, 0, data_at, std::nullopt);  // the header: text
  for (const SafetensorsEntry& entry : entries) {
    const auto element = element_of(entry);
    cutter.add(element, entry.begin, entry.end, element ? base_of(entry, by_name) : std::nullopt);
  }
  PackedDirectory directory;
  directory.raw_bytes = file.bytes.size();
  directory.pages = std::move(cutter).pages();
  return directory;
}

Digest base_digest(ByteView base, Parallel& parallel) {
  const std::size_t pieces = (base.size() + kBasePiece - 1) / kBasePiece;
  std::vector<Digest> digests(pieces);
  parallel.for_each(pieces, [&](std::size_t i) {
    const ByteView rest = base.subspan(i * kBasePiece);
    digests[i] = sha256(rest.first(std::min(kBasePiece, rest.size())));
  });
  return sha256(std::as_bytes(std::span(digests)));
}

}  // namespace skein
