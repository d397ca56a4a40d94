#include "common/convert/internal/page_packer.h"

#include <algorithm>

#include "common/crypto/sha256.h"
#include "kernels/ops/neurons.h"

namespace skein::internal {
namespace {

constexpr std::uint64_t kSharesPage = kTargetPageBytes / 2;  // smaller tensors share pages
constexpr std::uint64_t kMaxVocabularyBytes = 64U << 20;

std::uint32_t aligned(std::uint32_t offset) {
  return (offset + kSegmentAlignment - 1) / kSegmentAlignment * kSegmentAlignment;
}

}  // namespace

PagePacker::PagePacker(Manifest& manifest, std::vector<PageMemory>& pages, bool hash_pages,
                       MatrixEncoder* encoder)
    : manifest_(manifest), pages_(pages), hash_pages_(hash_pages), encoder_(encoder) {}

Result<std::uint32_t> PagePacker::keep(PageMemory page, const Digest* known) {
  PageEntry entry{.digest = {}, .bytes = static_cast<std::uint32_t>(page.bytes().size())};
  const auto index = static_cast<std::uint32_t>(pages_.size());
  if (hash_pages_) {
    entry.digest = known != nullptr ? *known : sha256(page.bytes());
    const auto [twin, is_new] = by_digest_.emplace(entry.digest, index);
    if (!is_new) return twin->second;
  }
  if (index == kMaxPages) {
    return fail(Errc::kUnsupported,
                "the model needs more than " + std::to_string(kMaxPages) + " pages", "pages",
                "use a smaller model");
  }
  pages_.push_back(std::move(page));
  manifest_.pages.push_back(entry);
  return index;
}

Result<std::uint32_t> PagePacker::add_page(ByteView bytes, const Digest* known) {
  PageMemory page(static_cast<std::uint32_t>(bytes.size()));
  std::ranges::copy(bytes, page.bytes().begin());
  return keep(std::move(page), known);
}

Result<void> PagePacker::close() {
  if (open_.empty()) return {};
  PageMemory page(open_bytes_);
  for (const Pending& pending : open_) {
    const TensorPlan& plan = pending.plan;
    const std::uint64_t bytes = stored_bytes(plan.format, plan.layout, plan.rows, plan.cols);
    const MutableByteView out = page.bytes().subspan(pending.offset, bytes);
    if (plan.encoded) {
      std::ranges::copy(pending.made, out.begin());
    } else {
      TRY_VOID(store_rows(plan, 0, plan.rows, out));
    }
  }
  TRY(const std::uint32_t index, keep(std::move(page), nullptr));
  for (const Pending& pending : open_) {
    manifest_.tensors[pending.tensor].segments = {
        {.page = index, .offset = pending.offset, .first_row = 0, .rows = pending.plan.rows}};
  }
  open_.clear();
  open_bytes_ = 0;
  return {};
}

// All of the tensor's stored bytes, for plans that say so: an encoder wants the whole matrix.
Result<Buffer> PagePacker::encoded(const TensorPlan& plan, const TensorEntry& entry) {
  if (!plan.encoded) return Buffer();
  TRY(const std::vector<float> values, stored_values(plan));
  Buffer made(stored_bytes(plan.format, plan.layout, plan.rows, plan.cols));
  TRY_VOID(encoder_->encode(entry, values, made));
  return made;
}

// Cut so that all groups are about equally large and near kTargetPageBytes.
Result<void> PagePacker::add_row_groups(const TensorPlan& plan, std::size_t tensor,
                                        std::uint64_t bytes, ByteView made) {
  const std::uint32_t unit = plan.layout == Layout::kTiles ? kTileRows : 1;
  const std::uint64_t units = (std::uint64_t{plan.rows} + unit - 1) / unit;
  const std::uint64_t groups = (bytes + kTargetPageBytes - 1) / kTargetPageBytes;
  const auto rows = static_cast<std::uint32_t>((units + groups - 1) / groups * unit);
  for (std::uint32_t first = 0; first < plan.rows;) {
    const std::uint32_t count = std::min(rows, plan.rows - first);
    const std::uint64_t size = stored_bytes(plan.format, plan.layout, count, plan.cols);
    CHECK(size <= kMaxPageBytes);  // a unit fits (plan_tensor), and groups are near the target
    PageMemory page(static_cast<std::uint32_t>(size));
    if (plan.encoded) {
      std::ranges::copy(made.first(size), page.bytes().begin());
      made = made.subspan(size);
    } else {
      TRY_VOID(store_rows(plan, first, count, page.bytes()));
    }
    TRY(const std::uint32_t index, keep(std::move(page), nullptr));
    manifest_.tensors[tensor].segments.push_back(
        {.page = index, .offset = 0, .first_row = first, .rows = count});
    first += count;
  }
  return {};
}

Result<void> PagePacker::add_tensor(const TensorPlan& plan) {
  TRY_VOID(add_stored(plan));
  const bool has_bounds = plan.place.role == Role::kFfnOut && is_quantized(plan.format);
  return has_bounds ? add_bounds(plan) : Result<void>();
}

Result<void> PagePacker::add_bounds(const TensorPlan& plan) {
  TRY_VOID(close());  // now all rows stand in pages
  std::vector<RowBlock> blocks;
  for (const Segment& segment : manifest_.tensors.back().segments) {
    const ByteView page = pages_[segment.page].bytes();
    blocks.push_back({page.data() + segment.offset, segment.first_row, segment.rows});
  }
  std::vector<float> bounds(plan.rows);
  find_row_bounds({plan.format, plan.layout, plan.rows, plan.cols, blocks}, bounds);
  Derived& derived = derived_.emplace_back();
  for (const float bound : bounds) derived.values.push_back(narrow_bf16(bound));
  const std::string_view value = plan.source->name;
  derived.tensor = {.name = std::string(value.substr(0, value.rfind('.'))) + ".bounds",
                    .shape = {plan.rows},
                    .format = Format::kBf16,
                    .data = std::as_bytes(std::span(derived.values))};
  CHECK(is_derived(derived.tensor.name));
  TRY(const TensorPlan stored, plan_tensor(derived.tensor, Precision::kKeep));
  return add_stored(stored);
}

Result<void> PagePacker::add_stored(const TensorPlan& plan) {
  const std::uint64_t bytes = stored_bytes(plan.format, plan.layout, plan.rows, plan.cols);
  const bool shares = bytes <= kSharesPage;
  const bool full = aligned(open_bytes_) + bytes > kTargetPageBytes;
  if (!shares || full || plan.place.group != open_group_) {
    TRY_VOID(close());
  }
  open_group_ = plan.place.group;
  const TensorEntry& entry = manifest_.tensors.emplace_back(entry_of(plan));
  TRY(Buffer made, encoded(plan, entry));
  if (!shares) return add_row_groups(plan, manifest_.tensors.size() - 1, bytes, made);
  const std::uint32_t offset = aligned(open_bytes_);
  open_.push_back({.tensor = manifest_.tensors.size() - 1,
                   .offset = offset,
                   .plan = plan,
                   .made = std::move(made)});
  open_bytes_ = offset + static_cast<std::uint32_t>(bytes);
  return {};
}

Result<void> PagePacker::add_vocabulary(ByteView file) {
  if (file.size() > kMaxVocabularyBytes) {
    return fail(Errc::kUnsupported, "the vocabulary is larger than 64 MiB", "vocabulary",
                "name an RWKV vocabulary file");
  }
  manifest_.tokenizer = {.kind = "rwkv-world", .bytes = file.size(), .pages = {}};
  for (ByteView rest = file; !rest.empty();) {
    const ByteView piece = rest.first(std::min<std::size_t>(rest.size(), kTargetPageBytes));
    TRY(const std::uint32_t index, add_page(piece));
    manifest_.tokenizer.pages.push_back(index);
    rest = rest.subspan(piece.size());
  }
  return {};
}

}  // namespace skein::internal
