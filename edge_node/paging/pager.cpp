#include "edge_node/paging/pager.h"

#include <algorithm>

#include "common/artifact/artifact_file.h"
#include "common/base/check.h"
#include "common/env/block_reads.h"
#include "common/predict/neuron_predictor.h"
#include "edge_node/paging/internal/neuron_cache.h"
#include "edge_node/paging/internal/page_stream.h"
#include "edge_node/paging/internal/stored_pages.h"

namespace skein {

using paging::AlignedMemory;
using paging::StoredPages;
using paging::WholeRange;

Result<Pager::Artifact> Pager::look_at(Disk& disk, const std::string& path) {
  Artifact found;
  found.path = path;
  TRY(const auto file, open_artifact(disk, path));
  if (file->coding() == PageCoding::kCoded) {
    return fail(Errc::kUnsupported, "pages are read in place under a budget, and these are coded",
                path, "write them plain with skein compress --set entropy.pages=plain");
  }
  found.manifest = file->manifest();
  found.digest = file->digest();
  found.offsets = file->page_offsets();
  TRY(const auto reads, disk.open_blocks(path));
  found.alignment = reads->alignment();
  return found;
}

Pager::Pager(Clock& clock, ResidencyPlan plan) : clock_(clock), plan_(std::move(plan)) {}
Pager::~Pager() = default;

const Manifest& Pager::manifest() const { return pages_->manifest; }
const Digest& Pager::digest() const { return pages_->digest; }
PagerCounters Pager::counters() const { return counters_; }

Result<std::unique_ptr<Pager>> Pager::open(Disk& disk, Clock& clock, Parallel& parallel,
                                           Artifact artifact, ResidencyPlan plan,
                                           const TagKey& key) {
  CHECK(plan.tensors.size() == artifact.manifest.tensors.size());
  std::unique_ptr<Pager> pager(new Pager(clock, std::move(plan)));
  pager->pages_ = std::make_unique<StoredPages>(
      StoredPages{std::move(artifact.manifest), std::move(artifact.offsets), artifact.path,
                  artifact.digest, std::move(artifact.damaged)});
  pager->pinned_at_.resize(pager->manifest().pages.size());
  pager->lay_out_stream();
  TRY_VOID(pager->open_files(disk, key));
  TRY_VOID(pager->read_pinned(parallel));
  if (pager->neurons_) {
    const std::scoped_lock lock(pager->lookup_);
    pager->looked_up_ = ~0U;
    TRY_VOID(pager->neurons_->learn_tags(pager->lookup_page_->bytes(), parallel));
  }
  if (pager->neurons_ && pager->plan_.ahead_bytes != 0) TRY_VOID(pager->open_guesses(disk));
  return pager;
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

bool Pager::is_pinned(std::uint32_t tensor, std::size_t segment) const {
  const TensorResidence& residence = plan_.tensors[tensor];
  return residence.kind == Residence::kPinned ||
         (residence.kind == Residence::kStreamed && segment < residence.pinned_segments);
}

bool Pager::is_paged(std::uint32_t tensor) const {
  const Residence kind = plan_.tensors[tensor].kind;
  return kind == Residence::kStreamed || kind == Residence::kRows;
}

// The pages that stream, in order of use, and where each layer's are among them.
void Pager::lay_out_stream() {
  const Manifest& manifest = pages_->manifest;
  first_entry_.assign(manifest.tensors.size(), ~0U);
  std::size_t most_blocks = 0;
  layers_.resize(manifest.config.layers + 1);
  for (const std::uint32_t tensor : order_of_use(manifest)) {
    if (plan_.tensors[tensor].kind != Residence::kStreamed) continue;
    const TensorEntry& entry = manifest.tensors[tensor];
    first_entry_[tensor] = static_cast<std::uint32_t>(stream_.size());
    const std::uint32_t pinned = plan_.tensors[tensor].pinned_segments;
    for (std::size_t i = pinned; i < entry.segments.size(); ++i) {
      stream_.push_back(entry.segments[i].page);
    }
    most_blocks = std::max(most_blocks, entry.segments.size());
  }
  blocks_.reserve(most_blocks);
  std::uint32_t at = 0;
  for (std::uint32_t layer = 0; layer <= manifest.config.layers; ++layer) {
    const std::string block = layer == manifest.config.layers
                                  ? std::string("head.")
                                  : "blocks." + std::to_string(layer) + ".";
    std::uint32_t end = at;
    for (std::size_t i = 0; i < manifest.tensors.size(); ++i) {
      if (first_entry_[i] == ~0U || !manifest.tensors[i].name.starts_with(block)) continue;
      const std::size_t streamed =
          manifest.tensors[i].segments.size() - plan_.tensors[i].pinned_segments;
      end += static_cast<std::uint32_t>(streamed);
    }
    layers_[layer] = {at, end};
    at = end;
  }
  CHECK(at == stream_.size());
}

Result<void> Pager::open_files(Disk& disk, const TagKey& key) {
  const Manifest& manifest = pages_->manifest;
  TRY(lookup_reads_, disk.open_blocks(pages_->file));
  std::uint64_t largest = 0;
  for (const PageEntry& page : manifest.pages) {
    largest = std::max<std::uint64_t>(largest, page.bytes);
  }
  const std::uint32_t alignment = lookup_reads_->alignment();
  lookup_page_ =
      std::make_unique<AlignedMemory>(WholeRange(alignment - 1, largest, alignment).size);
  if (!stream_.empty()) {
    TRY(auto reads, disk.open_blocks(pages_->file));
    stream_reads_ = std::make_unique<paging::PageStream>(
        *pages_, std::move(reads), clock_, counters_,
        paging::PageStream::Options{stream_, plan_.stream_slots, plan_.slot_bytes, key});
  }
  paging::NeuronCache::Options rows = {
      {}, plan_.staging_bytes, plan_.kept_rows, plan_.kept_row_bytes, key};
  for (const std::uint32_t tensor : order_of_use(manifest)) {
    if (plan_.tensors[tensor].kind == Residence::kRows) rows.tensors.push_back(tensor);
  }
  if (rows.tensors.empty()) return {};
  TRY(auto reads, disk.open_blocks(pages_->file));
  neurons_ = std::make_unique<paging::NeuronCache>(*pages_, std::move(reads), clock_, counters_,
                                                   std::move(rows));
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
  const WholeRange range(first, end - first, lookup_reads_->alignment());
  const AlignedMemory& memory = pinned_.emplace_back(range.size);
  if (auto read = paging::read_now(*lookup_reads_, range.first, memory.bytes(), ++lookups_);
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

Result<ByteView> Pager::page(PageIndex index) {
  const std::size_t i = index.value();
  if (i >= pinned_at_.size() || pinned_at_[i] == nullptr) {
    return fail(Errc::kUsage, "page " + std::to_string(i) + " is not kept in memory", pages_->file,
                "give a larger memory budget");
  }
  return ByteView(pinned_at_[i], manifest().pages[i].bytes);
}

Result<void> Pager::read(PageIndex index, std::uint64_t offset, MutableByteView out) {
  const std::uint32_t i = index.value();
  if (i >= pinned_at_.size()) {
    return fail(Errc::kNotFound, "there is no page " + std::to_string(i), pages_->file);
  }
  const std::uint32_t bytes = manifest().pages[i].bytes;
  if (pinned_at_[i] != nullptr) {
    return copy_from_page({pinned_at_[i], bytes}, index, offset, out);
  }
  const std::scoped_lock lock(lookup_);
  const WholeRange range(pages_->offsets[i], bytes, lookup_reads_->alignment());
  const MutableByteView memory = lookup_page_->bytes().first(range.size);
  const ByteView page = memory.subspan(range.lead, bytes);
  if (looked_up_ != i) {
    looked_up_ = ~0U;
    if (auto read = paging::read_now(*lookup_reads_, range.first, memory, ++lookups_); !read) {
      return tl::unexpected<Error>(pages_->of_page(i, std::move(read.error())));
    }
    TRY_VOID(pages_->check(i, page, lookup_hasher_));
    looked_up_ = i;
  }
  return copy_from_page(page, index, offset, out);
}

void Pager::begin(const Walk& walk, Parallel& parallel) {
  pass_.lock();
  parallel_ = &parallel;
  if (!stream_reads_) return;
  const Stretch& head = layers_.back();
  if (walk.first == walk.last) return stream_reads_->set_range(head.first, head.last);
  CHECK(walk.first < walk.last && walk.last < layers_.size());
  const bool all = walk.head && walk.last + 1 == layers_.size();
  stream_reads_->set_range(layers_[walk.first].first,
                           all ? head.last : layers_[walk.last - 1].last);
}

void Pager::end() {
  if (neurons_) neurons_->end_pass(*parallel_);
  parallel_ = nullptr;
  pass_.unlock();
}

void Pager::layer_begins(const LayerInput& input) {
  if (neurons_) neurons_->layer_begins(input, *parallel_);
}

Result<std::span<const RowBlock>> Pager::rows_from(std::uint32_t tensor, std::uint32_t first) {
  const TensorEntry& entry = manifest().tensors[tensor];
  const std::uint32_t pinned = plan_.tensors[tensor].pinned_segments;
  const auto after = std::ranges::upper_bound(entry.segments, first, {}, &Segment::first_row);
  const auto from = static_cast<std::uint32_t>(after - entry.segments.begin()) - 1;
  CHECK(entry.segments[from].first_row == first);
  const auto count = static_cast<std::uint32_t>(entry.segments.size());
  // Half of the buffers at most, so that the others fill meanwhile.
  const std::uint32_t most = std::max(1U, stream_reads_->slots() / 2);
  // What is pinned comes first: meanwhile the others arrive.
  const std::uint32_t to = from < pinned ? pinned : std::min(count, from + most);
  if (from >= pinned) {
    TRY_VOID(stream_reads_->take(first_entry_[tensor] + (from - pinned), to - from, *parallel_));
  }
  blocks_.clear();
  for (std::uint32_t i = from; i < to; ++i) {
    const Segment& segment = entry.segments[i];
    const std::byte* const data = i < pinned
                                      ? pinned_at_[segment.page]
                                      : stream_reads_->at(first_entry_[tensor] + (i - pinned));
    blocks_.push_back({data + segment.offset, segment.first_row, segment.rows});
  }
  return std::span<const RowBlock>(blocks_);
}

void Pager::want(std::uint32_t tensor, std::span<const std::uint8_t> wanted) {
  wanted_ = neurons_->want(tensor, wanted, *parallel_);
}

Result<PagedTensors::Neurons> Pager::neurons_from(std::uint32_t first) {
  TRY_VOID(wanted_);
  return neurons_->rows_from(first, *parallel_);
}

}  // namespace skein
