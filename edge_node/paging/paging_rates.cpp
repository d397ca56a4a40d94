#include "edge_node/paging/paging_rates.h"

#include <algorithm>

#include "common/coding/page_coding.h"
#include "edge_node/paging/internal/aligned_memory.h"
#include "edge_node/paging/internal/stored_pages.h"

namespace skein {

namespace {

using paging::AlignedMemory;
using paging::WholeRange;

constexpr std::uint64_t kSampleBytes = std::uint64_t{1} << 20;  // read at once ...
constexpr std::size_t kPieceBytes = std::size_t{1} << 16;       // ... in reads as long as pages
constexpr std::uint32_t kSamples = 3;
constexpr std::chrono::milliseconds kDecoding{10};  // a sample: a busy machine decodes in turns
constexpr std::uint32_t kCodedPages = 4;  // of a sample, of a plain file: coding takes a while

class Measurement {
 public:
  Measurement(Clock& clock, Parallel& parallel, const Pager::Artifact& artifact)
      : clock_(clock),
        parallel_(parallel),
        artifact_(artifact),
        memory_(kSampleBytes),
        decoders_(parallel.threads()) {
    for (const std::uint32_t tensor : order_of_use(artifact.manifest)) {
      for (const Segment& segment : artifact.manifest.tensors[tensor].segments) {
        const std::uint32_t page = segment.page;
        const std::uint32_t bytes = artifact.manifest.pages[page].bytes;
        const bool by_rows = artifact.coded && is_stored_page(artifact.sizes[page], bytes);
        if (!by_rows) pages_.push_back(page);
      }
    }
    std::ranges::sort(pages_);
    const auto repeated = std::ranges::unique(pages_);
    pages_.erase(repeated.begin(), repeated.end());
    if (!artifact.coded) parts_ = parts_of_pages(artifact.manifest);
  }

  Result<MeasuredPaging> make(BlockReads& reads) {
    for (std::uint32_t i = 0; i < kSamples && !pages_.empty(); ++i) {
      TRY_VOID(sample(pages_.size() * (2 * i + 1) / (2 * kSamples), reads));
    }
    MeasuredPaging made;
    if (fastest_ > 0) made.rates.storage = fastest_;
    if (const double rate = decoded_a_second(); rate > 0) made.rates.coder = rate;
    if (plain_ > 0) made.coded_share = static_cast<double>(coded_) / static_cast<double>(plain_);
    return made;
  }

 private:
  double seconds_since(Instant began) const {
    return std::chrono::duration<double>(clock_.now() - began).count();
  }
  Result<void> sample(std::size_t first, BlockReads& reads);
  void look_at(std::uint32_t page, ByteView stored, bool is_timed);
  void decode(std::uint32_t page, ByteView stored);
  double decoded_a_second() const;  // of a thread

  struct Decoder {  // a thread's
    PageCoder coder;
    Buffer page;
    std::uint64_t decoded = 0;
    double seconds = 0;
  };

  Clock& clock_;
  Parallel& parallel_;
  const Pager::Artifact& artifact_;
  AlignedMemory memory_;
  std::vector<std::uint32_t> pages_;  // of the matrices
  std::vector<std::vector<PageSegment>> parts_;
  PageCoder coder_;  // of a plain file's pages
  std::vector<Decoder> decoders_;
  double fastest_ = 0;                   // bytes a second
  std::uint64_t plain_ = 0, coded_ = 0;  // bytes of the same pages
};

// What lies behind pages_[first], as far as the memory goes.
Result<void> Measurement::sample(std::size_t first, BlockReads& reads) {
  const std::uint64_t at = artifact_.offsets[pages_[first]];
  const std::uint64_t there =
      std::min(kSampleBytes - 2 * BlockReads::kMostAlignment, artifact_.offsets.back() - at);
  const WholeRange range(at, there, reads.alignment());
  const MutableByteView read = memory_.bytes().first(range.size);
  const Instant began = clock_.now();
  TRY_VOID(paging::read_now(reads, range.first, read, first, kPieceBytes));
  const double seconds = seconds_since(began);
  if (seconds > 0) fastest_ = std::max(fastest_, static_cast<double>(range.size) / seconds);
  std::uint32_t pages = 0;
  for (std::size_t i = first; i < pages_.size(); ++i) {
    const std::uint32_t page = pages_[i];
    const std::uint64_t offset = artifact_.offsets[page] - range.first;
    if (offset + artifact_.sizes[page] > range.size) break;
    if (++pages > kCodedPages) break;
    look_at(page, read.subspan(offset, artifact_.sizes[page]), pages == 1);
  }
  return {};
}

void Measurement::look_at(std::uint32_t page, ByteView stored, bool is_timed) {
  Buffer coded;
  if (!artifact_.coded) {
    coded = coder_.code(stored, parts_[page]);
    plain_ += stored.size();
    coded_ += coded.size();
    stored = coded;
  }
  if (is_timed) decode(page, stored);
}

// By all threads at once, as a pass does: they may share a core.
void Measurement::decode(std::uint32_t page, ByteView stored) {
  struct Job {
    Measurement& all;
    std::uint32_t bytes;
    ByteView stored;
    void run(std::size_t i) const {
      Decoder& one = all.decoders_[i];
      one.page.resize(bytes);
      if (!one.coder.decode(stored, one.page)) return;  // its room is made
      const Instant began = all.clock_.now();
      for (Instant now = began; now - began < kDecoding; now = all.clock_.now()) {
        if (!one.coder.decode(stored, one.page)) return;
        one.decoded += bytes;
        if (all.clock_.now() == began) break;  // time stands still here
      }
      one.seconds += all.seconds_since(began);
    }
  } job{*this, artifact_.manifest.pages[page].bytes, stored};
  run_tasks(parallel_, decoders_.size(), job);
}

double Measurement::decoded_a_second() const {
  double bytes = 0, seconds = 0;
  for (const Decoder& one : decoders_) {
    bytes += static_cast<double>(one.decoded);
    seconds += one.seconds;
  }
  return seconds > 0 ? bytes / seconds : 0;
}

}  // namespace

Result<MeasuredPaging> measure_paging(Disk& disk, Clock& clock, Parallel& parallel,
                                      const Pager::Artifact& artifact) {
  TRY(const auto reads, disk.open_blocks(artifact.path));
  Measurement measurement(clock, parallel, artifact);
  return measurement.make(*reads);
}

}  // namespace skein
