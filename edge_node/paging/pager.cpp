#include "edge_node/paging/pager.h"

#include <algorithm>

#include "common/artifact/artifact_file.h"
#include "common/base/check.h"
#include "common/env/block_reads.h"
#include "edge_node/paging/internal/coded_pages.h"
#include "edge_node/paging/internal/head_tiles.h"
#include "edge_node/paging/internal/neuron_cache.h"
#include "edge_node/paging/internal/page_stream.h"
#include "edge_node/paging/internal/stored_pages.h"
#include "kernels/ops/neurons.h"

namespace skein {

using paging::StoredPages;
using paging::WholeRange;

Result<Pager::Artifact> Pager::look_at(Disk& disk, const std::string& path) {
  Artifact found;
  found.path = path;
  TRY(const auto file, open_artifact(disk, path));
  found.manifest = file->manifest();
  found.digest = file->digest();
  found.offsets = file->page_offsets();
  found.coded = file->coding() == PageCoding::kCoded;
  for (std::uint32_t i = 0; i < found.manifest.pages.size(); ++i) {
    found.sizes.push_back(file->stored_size(PageIndex(i)));
  }
  TRY(const auto reads, disk.open_blocks(path));
  found.alignment = reads->alignment();
  return found;
}

ResidencyRequest Pager::Artifact::request() const {
  return {.alignment = alignment, .coded = coded, .stored = sizes};
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
  CHECK(plan.reads_coded == artifact.coded);
  std::unique_ptr<Pager> pager(new Pager(clock, std::move(plan)));
  pager->pages_ = std::make_unique<StoredPages>(StoredPages{
      std::move(artifact.manifest), std::move(artifact.offsets), std::move(artifact.sizes),
      artifact.coded, artifact.path, artifact.digest, std::move(artifact.damaged)});
  pager->pinned_at_.resize(pager->manifest().pages.size());
  pager->coded_at_.resize(pager->manifest().pages.size());
  TRY_VOID(pager->open_files(disk));
  if (artifact.coded || pager->plan_.coded_bytes != 0) pager->open_coders(key);
  if (artifact.coded) {
    TRY_VOID(pager->decode_held(parallel));
  } else {
    TRY_VOID(pager->read_pinned(parallel));
    TRY_VOID(pager->code_held(parallel));
    if (pager->coded_) pager->coded_->end_coding();
  }
  if (pager->plan_.decode_buffers == 0) pager->coded_.reset();
  pager->lay_out_stream();
  TRY_VOID(pager->open_stream(disk, key));
  TRY_VOID(pager->open_tiles(disk, key));
  TRY_VOID(pager->learn_tags(parallel));
  if (pager->neurons_ && pager->plan_.ahead_bytes != 0) TRY_VOID(pager->open_guesses(disk));
  return pager;
}

bool Pager::is_pinned(std::uint32_t tensor, std::size_t segment) const {
  const TensorResidence& residence = plan_.tensors[tensor];
  return residence.kind == Residence::kPinned ||
         (residence.kind == Residence::kStreamed && segment < residence.pinned_segments);
}

bool Pager::is_kept_coded(std::uint32_t tensor, std::size_t segment) const {
  const TensorResidence& residence = plan_.tensors[tensor];
  return residence.kind == Residence::kStreamed &&
         residence.is_coded(segment, manifest().tensors[tensor].segments.size());
}

// Of a matrix that streams, once all is open: how many pages stay coded was a guess.
bool Pager::is_read(std::uint32_t page) const {
  return pinned_at_[page] == nullptr && coded_at_[page].empty();
}

bool Pager::is_paged(std::uint32_t tensor) const {
  const Residence kind = plan_.tensors[tensor].kind;
  return kind == Residence::kStreamed || kind == Residence::kRows;
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
  const std::scoped_lock lock(lookup_.mutex);
  if (lookup_.page != i) TRY_VOID(look_up(i));
  return copy_from_page({lookup_.at, bytes}, index, offset, out);
}

// Reads and verifies the page.
Result<void> Pager::look_up(std::uint32_t page) {
  lookup_.page = ~0U;
  const std::uint32_t bytes = manifest().pages[page].bytes;
  const WholeRange range = pages_->range_of(page, lookup_.reads->alignment());
  const MutableByteView memory = lookup_.memory->bytes().first(range.size);
  if (auto read = paging::read_now(*lookup_.reads, range.first, memory, ++lookup_.calls); !read) {
    return tl::unexpected<Error>(pages_->of_page(page, std::move(read.error())));
  }
  lookup_.at = memory.data() + range.lead;
  if (pages_->coded) {
    if (!lookup_.coder) lookup_.coder.emplace();
    const MutableByteView decoded =
        lookup_.memory->bytes().last(paging::page_aligned(bytes)).first(bytes);
    const ByteView coded = memory.subspan(range.lead, pages_->sizes[page]);
    if (const auto made = lookup_.coder->decode(coded, decoded); !made) {
      return pages_->does_not_decode(page, made.error());
    }
    lookup_.at = decoded.data();
  }
  TRY_VOID(pages_->check(page, {lookup_.at, bytes}, lookup_.hasher));
  lookup_.page = page;
  return {};
}

void Pager::begin(const Walk& walk, Parallel& parallel) {
  pass_.lock();
  parallel_ = &parallel;
  walk_ = walk;
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

// Those from row `first` on that memory holds at once. What is pinned comes first: meanwhile the
// others arrive.
Pager::Segments Pager::segments_from(std::uint32_t tensor, std::uint32_t first) const {
  const auto& segments = manifest().tensors[tensor].segments;
  const TensorResidence& residence = plan_.tensors[tensor];
  const auto after = std::ranges::upper_bound(segments, first, {}, &Segment::first_row);
  const auto from = static_cast<std::uint32_t>(after - segments.begin()) - 1;
  const auto count = static_cast<std::uint32_t>(segments.size());
  if (from < residence.pinned_segments) return {from, residence.pinned_segments};
  // Half of the buffers at most, so that the others fill meanwhile.
  const std::uint32_t most_read = stream_reads_ ? std::max(1U, stream_reads_->slots() / 2) : 0;
  std::uint32_t read = 0, coded = 0, end = from;
  for (; end < count; ++end) {
    const bool is_next_read = is_read(segments[end].page);
    if (is_next_read && coded != 0 && !residence.in_turn) break;  // it arrives meanwhile
    if (is_next_read && read == most_read) break;
    const std::uint32_t decoded = coded + (pages_->coded ? read : 0);
    if ((!is_next_read || pages_->coded) && decoded == coded_->buffers()) break;
    ++(is_next_read ? read : coded);
  }
  return {from, end};
}

// Reads, decodes and verifies what is not there; data_of() these until the next call.
Result<void> Pager::bring(std::uint32_t tensor, Segments segments) {
  const TensorEntry& entry = manifest().tensors[tensor];
  const std::uint32_t first = entry.segments[segments.first].page;
  const std::uint32_t last = entry.segments[segments.last - 1].page;
  next_coded_ = coded_place_[first];
  const std::uint32_t reads = entry_[last] + (is_read(last) ? 1 : 0) - entry_[first];
  if (reads != 0) {
    const bool rows_follow = rows_follow_[tensor] != 0 && segments.last == entry.segments.size();
    TRY_VOID(stream_reads_->take(entry_[first], reads, *parallel_, rows_follow));
  }
  if (!coded_) return {};
  bringing_.clear();
  for (std::uint32_t i = segments.first; i < segments.last; ++i) {
    const std::uint32_t page = entry.segments[i].page;
    if (!coded_at_[page].empty()) {
      bringing_.push_back({page, coded_at_[page], true});
    } else if (pages_->coded && is_read(page)) {
      bringing_.push_back({page, {stream_reads_->at(entry_[page]), pages_->sizes[page]}, false});
    }
  }
  const Instant began = clock_.now();
  auto decoded = coded_->bring(bringing_, *parallel_);
  counters_.decoding += clock_.now() - began;
  // Read again by whoever asks next.
  if (!decoded && stream_reads_) TRY_VOID(stream_reads_->forget());
  return decoded;
}

// While storage is waited for: what the pass multiplies with after the tensor it is at; of a head
// that is screened nobody knows.
bool Pager::decode_ahead() {
  const std::size_t end = walk_.head ? coded_cycle_.size() : coded_head_;
  if (!coded_ || end == 0) return false;
  const std::size_t next = next_coded_ < end ? next_coded_ : 0;
  const Instant began = clock_.now();
  const bool any = coded_->ahead(std::span(coded_cycle_).first(end).subspan(next), *parallel_);
  counters_.decoding += clock_.now() - began;
  return any;
}

const std::byte* Pager::data_of(std::uint32_t tensor, std::uint32_t segment) const {
  const std::uint32_t page = manifest().tensors[tensor].segments[segment].page;
  if (pinned_at_[page] != nullptr) return pinned_at_[page];
  return pages_->coded || !is_read(page) ? coded_->at(page) : stream_reads_->at(entry_[page]);
}

Result<std::span<const RowBlock>> Pager::rows_from(std::uint32_t tensor, std::uint32_t first) {
  const TensorEntry& entry = manifest().tensors[tensor];
  const Segments segments = segments_from(tensor, first);
  CHECK(entry.segments[segments.first].first_row == first);
  walk_into(tensor);
  TRY_VOID(bring(tensor, segments));
  blocks_.clear();
  for (std::uint32_t i = segments.first; i < segments.last; ++i) {
    const Segment& segment = entry.segments[i];
    blocks_.push_back({data_of(tensor, i) + segment.offset, segment.first_row, segment.rows});
  }
  return std::span<const RowBlock>(blocks_);
}

// The head, of a pass that was not to meet it: its screen could not tell enough.
void Pager::walk_into(std::uint32_t tensor) {
  if (walk_.head || tensor != head_ || !stream_reads_) return;
  walk_.head = true;
  const bool alone = walk_.first == walk_.last;
  stream_reads_->set_range(alone ? layers_.back().first : layers_[walk_.first].first,
                           layers_.back().last);
}

Result<PagedTensors::Tiles> Pager::tiles_from(std::uint32_t tensor,
                                              std::span<const std::uint8_t> wanted,
                                              std::uint32_t first) {
  CHECK(head_tiles_ && tensor == head_);
  next_coded_ = 0;  // of the next token
  return head_tiles_->tiles_from(wanted, first, *parallel_);
}

void Pager::want(std::uint32_t tensor, std::span<const std::uint8_t> wanted) {
  wanted_tensor_ = plan_.tensors[tensor].kind == Residence::kStreamed ? tensor : kNoTensor;
  if (wanted_tensor_ == kNoTensor) {
    next_coded_ = coded_after_[tensor];
    wanted_ = neurons_->want(tensor, wanted, *parallel_);
    if (wanted_ && stream_reads_) wanted_ = stream_reads_->read_on();
  } else {
    std::fill_n(neuron_at_.begin(), wanted.size(), nullptr);
  }
}

Result<PagedTensors::Neurons> Pager::neurons_from(std::uint32_t first) {
  if (wanted_tensor_ != kNoTensor) return decoded_neurons_from(first);
  TRY_VOID(wanted_);
  return neurons_->rows_from(first, *parallel_);
}

// Pages hold any number of rows, a block of neurons reaches over several of them.
Result<PagedTensors::Neurons> Pager::decoded_neurons_from(std::uint32_t first) {
  const TensorEntry& entry = manifest().tensors[wanted_tensor_];
  const auto count = static_cast<std::uint32_t>(entry.segments.size());
  Segments segments = segments_from(wanted_tensor_, first);
  const auto rows_to = [&] {
    const Segment& last = entry.segments[segments.last - 1];
    const std::uint32_t rows = last.first_row + last.rows - first;
    return segments.last == count ? rows : rows / kNeuronBlock * kNeuronBlock;
  };
  while (rows_to() == 0) ++segments.last;
  TRY_VOID(bring(wanted_tensor_, segments));
  const std::uint32_t rows = rows_to();
  const std::uint64_t row_bytes = stored_bytes(entry.format, entry.layout, 1, entry.cols);
  for (std::uint32_t i = segments.first; i < segments.last; ++i) {
    const Segment& segment = entry.segments[i];
    const std::byte* const data = data_of(wanted_tensor_, i) + segment.offset;
    const std::uint32_t end = std::min(segment.first_row + segment.rows, first + rows);
    for (std::uint32_t row = std::max(first, segment.first_row); row < end; ++row) {
      neuron_at_[row] = data + (row - segment.first_row) * row_bytes;
    }
  }
  return Neurons{std::span(neuron_at_).first(entry.rows), first, rows};
}

}  // namespace skein
