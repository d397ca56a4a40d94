// How a Pager comes to be: what stays in memory is read, decoded or coded, and verified; what
// streams is laid out.
#include <algorithm>
#include <cstring>
#include <tuple>

#include "common/base/check.h"
#include "common/env/block_reads.h"
#include "common/predict/neuron_predictor.h"
#include "edge_node/paging/internal/coded_pages.h"
#include "edge_node/paging/internal/head_tiles.h"
#include "edge_node/paging/internal/neuron_cache.h"
#include "edge_node/paging/internal/page_stream.h"
#include "edge_node/paging/internal/stored_pages.h"
#include "edge_node/paging/pager.h"

namespace skein {

using paging::AlignedMemory;
using paging::CodedPages;
using paging::WholeRange;

// The pages that stay coded, and those that stream, in order of use; where each layer's are among
// the latter.
void Pager::lay_out_stream() {
  const Manifest& manifest = pages_->manifest;
  entry_.assign(manifest.pages.size(), 0);
  coded_place_.assign(manifest.pages.size(), 0);
  std::size_t most_blocks = 0;
  std::uint32_t most_rows = 0;
  coded_after_.resize(manifest.tensors.size());
  rows_follow_.resize(manifest.tensors.size());
  std::vector<std::uint32_t> read(manifest.tensors.size());
  std::optional<std::uint32_t> before;
  for (const std::uint32_t tensor : order_of_use(manifest)) {
    const TensorEntry& entry = manifest.tensors[tensor];
    if (entry.name == "head.weight") {
      head_ = tensor;
      coded_head_ = static_cast<std::uint32_t>(coded_cycle_.size());
    }
    const bool streams = plan_.tensors[tensor].kind == Residence::kStreamed;
    for (const Segment& segment : entry.segments) {
      if (!streams) break;
      entry_[segment.page] = static_cast<std::uint32_t>(stream_.size());
      coded_place_[segment.page] = static_cast<std::uint32_t>(coded_cycle_.size());
      const ByteView coded = coded_at_[segment.page];
      if (!coded.empty()) coded_cycle_.push_back({segment.page, coded, true});
      if (!is_read(segment.page)) continue;
      stream_.push_back(segment.page);
      ++read[tensor];
    }
    coded_after_[tensor] = static_cast<std::uint32_t>(coded_cycle_.size());
    if (before && plan_.tensors[tensor].kind == Residence::kRows) rows_follow_[*before] = 1;
    before = tensor;
    if (!streams) continue;
    if (entry.layout == Layout::kRows) most_rows = std::max(most_rows, entry.rows);
    most_blocks = std::max(most_blocks, entry.segments.size());
  }
  blocks_.reserve(most_blocks);
  neuron_at_.resize(most_rows);
  find_layers(read);
}

// `read`: pages that stream, of each tensor.
void Pager::find_layers(std::span<const std::uint32_t> read) {
  const Manifest& manifest = pages_->manifest;
  layers_.resize(manifest.config.layers + 1);
  std::uint32_t at = 0;
  for (std::uint32_t layer = 0; layer <= manifest.config.layers; ++layer) {
    const std::string block = layer == manifest.config.layers
                                  ? std::string("head.")
                                  : "blocks." + std::to_string(layer) + ".";
    std::uint32_t end = at;
    for (std::size_t i = 0; i < manifest.tensors.size(); ++i) {
      if (manifest.tensors[i].name.starts_with(block)) end += read[i];
    }
    layers_[layer] = {at, end};
    at = end;
  }
  CHECK(at == stream_.size());
}

Result<void> Pager::open_files(Disk& disk) {
  TRY(lookup_.reads, disk.open_blocks(pages_->file));
  std::uint64_t largest = 0, largest_stored = 0;
  for (std::size_t i = 0; i < pages_->sizes.size(); ++i) {
    largest = std::max<std::uint64_t>(largest, manifest().pages[i].bytes);
    largest_stored = std::max<std::uint64_t>(largest_stored, pages_->sizes[i]);
  }
  const std::uint32_t alignment = lookup_.reads->alignment();
  const std::uint64_t read = WholeRange(alignment - 1, largest_stored, alignment).size;
  lookup_.memory = std::make_unique<AlignedMemory>(
      pages_->coded ? paging::page_aligned(read) + paging::page_aligned(largest) : read);
  return {};
}

void Pager::open_coders(const TagKey& key) {
  coded_ = std::make_unique<CodedPages>(
      *pages_,
      CodedPages::Options{plan_.coders, plan_.decode_buffers, plan_.decode_buffer_bytes, key});
  bringing_.reserve(plan_.decode_buffers);
}

Result<void> Pager::open_stream(Disk& disk, const TagKey& key) {
  if (!stream_.empty()) {
    TRY(auto reads, disk.open_blocks(pages_->file));
    stream_reads_ = std::make_unique<paging::PageStream>(
        *pages_, std::move(reads), clock_, counters_,
        paging::PageStream::Options{stream_, plan_.stream_slots, plan_.slot_bytes, key,
                                    [this] { return decode_ahead(); }});
  }
  paging::NeuronCache::Options rows = {
      {}, plan_.staging_bytes, plan_.kept_rows, plan_.kept_row_bytes, key, [this] {
        return decode_ahead();
      }};
  for (const std::uint32_t tensor : order_of_use(manifest())) {
    if (plan_.tensors[tensor].kind == Residence::kRows) rows.tensors.push_back(tensor);
  }
  if (rows.tensors.empty()) return {};
  TRY(auto reads, disk.open_blocks(pages_->file));
  neurons_ = std::make_unique<paging::NeuronCache>(*pages_, std::move(reads), clock_, counters_,
                                                   std::move(rows));
  return {};
}

Result<void> Pager::open_tiles(Disk& disk, const TagKey& key) {
  if (!plan_.holds_screen || head_ == kNoTensor) return {};
  const TensorResidence& residence = plan_.tensors[head_];
  if (residence.kind != Residence::kStreamed) return {};
  TRY(auto reads, disk.open_blocks(pages_->file));
  head_tiles_ = std::make_unique<paging::HeadTiles>(
      *pages_, std::move(reads), clock_, counters_,
      paging::HeadTiles::Options{head_, residence.pinned_segments, residence.coded_segments,
                                 pinned_at_, coded_at_, coded_.get(), plan_.tile_bytes, key,
                                 [this] { return decode_ahead(); }});
  return {};
}

// Rows and tiles are compared with tags from the first time on.
Result<void> Pager::learn_tags(Parallel& parallel) {
  const std::scoped_lock lock(lookup_.mutex);
  lookup_.page = ~0U;
  const MutableByteView page = lookup_.memory->bytes();
  if (neurons_) TRY_VOID(neurons_->learn_tags(page, parallel));
  if (head_tiles_) TRY_VOID(head_tiles_->learn_tags(page, parallel));
  return {};
}

Result<void> Pager::read_pinned(Parallel& parallel) {
  const Manifest& manifest = pages_->manifest;
  std::vector<bool> wanted(manifest.pages.size());
  for (std::uint32_t i = 0; i < manifest.tensors.size(); ++i) {
    const auto& segments = manifest.tensors[i].segments;
    for (std::size_t k = 0; k < segments.size(); ++k) {
      if (is_pinned(i, k)) wanted[segments[k].page] = true;
    }
  }
  std::vector<std::uint32_t> run;
  for (std::uint32_t page = 0; page <= wanted.size(); ++page) {
    if (page < wanted.size() && wanted[page]) {
      run.push_back(page);
    } else if (!run.empty()) {
      TRY_VOID(read_run(run, parallel));
      run.clear();
    }
  }
  return {};
}

// Pages that lie side by side in the file.
Result<void> Pager::read_run(std::span<const std::uint32_t> pages, Parallel& parallel) {
  const std::uint64_t first = pages_->offsets[pages.front()];
  const std::uint64_t end =
      pages_->offsets[pages.back()] + pages_->manifest.pages[pages.back()].bytes;
  const WholeRange range(first, end - first, lookup_.reads->alignment());
  const AlignedMemory& memory = held_.emplace_back(range.size);
  if (auto read = paging::read_now(*lookup_.reads, range.first, memory.bytes(), ++lookup_.calls);
      !read) {
    return tl::unexpected<Error>(pages_->of_page(pages.front(), std::move(read.error())));
  }
  counters_.bytes_read += range.size;
  std::vector<Result<void>> checked(pages.size());
  struct Job {
    Pager& pager;
    std::span<const std::uint32_t> pages;
    std::vector<Result<void>>& checked;
    void run(std::size_t i) const {
      const std::byte* const at = pager.pinned_at_[pages[i]];
      Sha256 hasher;
      const ByteView bytes(at, pager.manifest().pages[pages[i]].bytes);
      checked[i] = pager.pages_->check(pages[i], bytes, hasher);
    }
  } job{*this, pages, checked};
  for (const std::uint32_t page : pages) {
    pinned_at_[page] = memory.data() + (pages_->offsets[page] - range.first);
  }
  run_tasks(parallel, pages.size(), job);
  for (const Result<void>& check : checked) TRY_VOID(check);
  return {};
}

// Of a coded file: pages are decoded to where they stay, or stay coded once they were seen to
// decode to what they must be.
Result<void> Pager::decode_held(Parallel& parallel) {
  enum class Tier : unsigned char { kRead, kPinned, kCoded };
  std::vector<Tier> tiers(manifest().pages.size());
  for (std::uint32_t i = 0; i < manifest().tensors.size(); ++i) {
    const auto& segments = manifest().tensors[i].segments;
    for (std::size_t k = 0; k < segments.size(); ++k) {
      if (is_kept_coded(i, k)) tiers[segments[k].page] = Tier::kCoded;
      if (is_pinned(i, k)) tiers[segments[k].page] = Tier::kPinned;
    }
  }
  std::uint64_t pinned = 0, coded = 0, largest = 0;
  const std::uint32_t alignment = lookup_.reads->alignment();
  for (std::uint32_t i = 0; i < tiers.size(); ++i) {
    if (tiers[i] == Tier::kPinned) pinned += paging::page_aligned(manifest().pages[i].bytes);
    if (tiers[i] == Tier::kCoded) coded += paging::page_aligned(pages_->sizes[i]);
    largest = std::max(largest, pages_->range_of(i, alignment).size);
  }
  std::byte* pinned_to = held_.emplace_back(pinned).data();
  std::byte* coded_to = held_.emplace_back(coded).data();
  const AlignedMemory staging(std::max(largest, plan_.opening_bytes));
  std::vector<Held> run;
  const auto read_run_so_far = [&]() -> Result<void> {
    if (run.empty()) return {};
    auto done = decode_run(run, staging.bytes(), parallel);
    run.clear();
    return done;
  };
  for (std::uint32_t i = 0; i < tiers.size(); ++i) {
    if (tiers[i] == Tier::kRead) continue;
    if (!run.empty()) {
      const std::uint64_t first = pages_->offsets[run.front().page];
      const WholeRange range(first, pages_->offsets[i] + pages_->sizes[i] - first, alignment);
      const bool full = coded != 0 && run.size() == coded_->buffers();
      if (i != run.back().page + 1 || range.size > staging.size() || full)
        TRY_VOID(read_run_so_far());
    }
    if (tiers[i] == Tier::kPinned) {
      run.push_back({.page = i, .decoded = pinned_to});
      pinned_at_[i] = pinned_to;
      pinned_to += paging::page_aligned(manifest().pages[i].bytes);
    } else {
      run.push_back({.page = i, .coded = coded_to});
      coded_at_[i] = {coded_to, pages_->sizes[i]};
      coded_to += paging::page_aligned(pages_->sizes[i]);
    }
  }
  return read_run_so_far();
}

// Pages that lie side by side in the file.
Result<void> Pager::decode_run(std::span<const Held> pages, MutableByteView staging,
                               Parallel& parallel) {
  const std::uint64_t first = pages_->offsets[pages.front().page];
  const std::uint32_t last = pages.back().page;
  const std::uint64_t end = pages_->offsets[last] + pages_->sizes[last];
  const WholeRange range(first, end - first, lookup_.reads->alignment());
  const MutableByteView memory = staging.first(range.size);
  if (auto read = paging::read_now(*lookup_.reads, range.first, memory, ++lookup_.calls); !read) {
    return tl::unexpected<Error>(pages_->of_page(pages.front().page, std::move(read.error())));
  }
  counters_.bytes_read += range.size;
  std::vector<CodedPages::Kept> work;
  std::uint32_t buffer = 0;
  for (const Held& held : pages) {
    const std::uint64_t at = pages_->offsets[held.page] - range.first;
    const ByteView coded = memory.subspan(at, pages_->sizes[held.page]);
    std::byte* out = held.decoded;
    if (out == nullptr) {
      std::memcpy(held.coded, coded.data(), coded.size());
      out = coded_->buffer(buffer++).data();
    }
    work.push_back({{held.page, coded, false}, out, {}});
  }
  return coded_->decode_all(work, parallel);
}

// Of a plain file: what is to stay coded is coded now, the first pages of each matrix in turn. How
// large they become was a guess: those that do not fit any more are read in each pass.
Result<void> Pager::code_held(Parallel& parallel) {
  if (plan_.coded_bytes == 0) return {};
  struct Place {
    double depth = 0;
    std::uint32_t tensor = 0, segment = 0;
  };
  std::vector<Place> places;
  for (const std::uint32_t tensor : order_of_use(manifest())) {
    const auto count = static_cast<std::uint32_t>(manifest().tensors[tensor].segments.size());
    for (std::uint32_t i = 0; i < count; ++i) {
      if (is_kept_coded(tensor, i)) places.push_back({(i + 0.5) / count, tensor, i});
    }
    plan_.tensors[tensor].coded_segments = 0;
  }
  std::ranges::sort(places, {},
                    [](const Place& place) { return std::tuple(place.depth, place.tensor); });
  const MutableByteView all = held_.emplace_back(plan_.coded_bytes).bytes();
  const auto parts = parts_of_pages(manifest());
  const std::uint32_t alignment = lookup_.reads->alignment();
  std::uint64_t used = 0;
  std::vector<CodedPages::Coding> work;
  std::vector<AlignedMemory> memory;
  for (std::size_t first = 0; first < places.size(); first += work.size()) {
    const std::size_t count = std::min<std::size_t>(plan_.coders, places.size() - first);
    work.clear();
    for (std::size_t i = 0; i < count; ++i) {
      const Place& place = places[first + i];
      const std::uint32_t page = manifest().tensors[place.tensor].segments[place.segment].page;
      const WholeRange range = pages_->range_of(page, alignment);
      if (memory.size() <= i) memory.emplace_back(plan_.slot_bytes);
      const MutableByteView read = memory[i].bytes().first(range.size);
      if (auto done = paging::read_now(*lookup_.reads, range.first, read, ++lookup_.calls); !done) {
        return tl::unexpected<Error>(pages_->of_page(page, std::move(done.error())));
      }
      counters_.bytes_read += range.size;
      work.push_back({page, read.subspan(range.lead, pages_->sizes[page]), parts[page], {}, {}});
    }
    TRY_VOID(coded_->code_all(work, parallel));
    for (std::size_t i = 0; i < count; ++i) {
      const Place& place = places[first + i];
      const Buffer& coded = work[i].coded;
      if (used + coded.size() > all.size()) {
        plan_.coded_bytes = used;
        return {};
      }
      std::ranges::copy(coded, all.begin() + static_cast<std::ptrdiff_t>(used));
      coded_at_[work[i].page] = ByteView(all).subspan(used, coded.size());
      used = paging::page_aligned(used + coded.size());
      ++plan_.tensors[place.tensor].coded_segments;
    }
  }
  plan_.coded_bytes = used;
  return {};
}

// With the predictor that the artifact carries, unless it needs keys that are not in memory.
Result<void> Pager::open_guesses(Disk& disk) {
  const Manifest& manifest = pages_->manifest;
  std::vector<std::vector<RowBlock>> blocks(manifest.config.layers);
  std::vector<MatrixView> keys;
  bool whole = true;
  for (std::uint32_t layer = 0; layer < manifest.config.layers; ++layer) {
    const std::string name = "blocks." + std::to_string(layer) + ".ffn.key.weight";
    const TensorEntry* const key = find_tensor(manifest, name);
    if (key == nullptr) {
      keys.emplace_back();
      continue;
    }
    for (const Segment& segment : key->segments) {
      const std::byte* const at = pinned_at_[segment.page];
      whole = whole && at != nullptr;
      if (whole) blocks[layer].push_back({at + segment.offset, segment.first_row, segment.rows});
    }
    keys.push_back({key->format, key->layout, key->rows, key->cols, blocks[layer]});
  }
  std::unique_ptr<NeuronPredictor> predictor;
  if (whole || find_tensor(manifest, predictor_part(0, "key.scale")) == nullptr) {
    TRY(predictor, NeuronPredictor::open(*this, keys));
  }
  key_blocks_ = std::move(blocks);
  TRY(auto reads, disk.open_blocks(pages_->file));
  neurons_->read_ahead(plan_.ahead_bytes, std::move(reads), std::move(predictor));
  return {};
}

}  // namespace skein
