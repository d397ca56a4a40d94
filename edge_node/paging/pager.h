// Pager: a model whose weights do not all fit in memory, as the PageSource that it is opened from.
// What a ResidencyPlan pins is read once; the rest comes from storage while passes run, into
// buffers that never grow, and is compared with its hashes before it is used. Pages that are coded,
// in the file or in memory, are decoded when they are used. Results are the bits of the model
// wholly in memory.
//
// Owned by whoever owns the Model, and outlives it. Opened and computed with on Compute; a pass's
// calls are one thread's, page and read any thread's. Errors of pages (Errc::kCorrupt, kInput,
// kDeadline) name page, artifact and place.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "common/artifact/page_source.h"
#include "common/coding/page_coding.h"
#include "common/crypto/sha256.h"
#include "common/crypto/tagger.h"
#include "common/env/disk.h"
#include "common/env/env.h"
#include "edge_node/paging/pager_counters.h"
#include "edge_node/paging/residency_plan.h"

namespace skein {

namespace paging {
struct StoredPages;
class CodedPages;
struct CodedPage;
class PageStream;
class NeuronCache;
class HeadTiles;
class AlignedMemory;
}  // namespace paging

class Pager final : public PageSource, public PagedTensors {
 public:
  // An artifact file that can be paged; nothing of it is in memory but the manifest.
  struct Artifact {
    std::string path;
    Manifest manifest;
    Digest digest;
    std::vector<std::uint64_t> offsets;       // of its pages, then where the file ends
    std::vector<std::uint32_t> sizes;         // of its pages in the file
    bool coded = false;                       // they are
    std::uint32_t alignment = 1;              // of reads
    std::shared_ptr<DamagedPages> damaged{};  // told of pages that are wrong; may be nullptr
    ResidencyRequest request() const;         // what it says of a plan's request
  };
  // Errors as open_artifact's.
  static Result<Artifact> look_at(Disk& disk, const std::string& path);

  // `plan` is of that manifest, `key` is random. Reads what is pinned.
  static Result<std::unique_ptr<Pager>> open(Disk& disk, Clock& clock, Parallel& parallel,
                                             Artifact artifact, ResidencyPlan plan,
                                             const TagKey& key);
  ~Pager() override;
  Pager(const Pager&) = delete;
  Pager& operator=(const Pager&) = delete;

  const ResidencyPlan& plan() const { return plan_; }
  const Digest& digest() const;
  PagerCounters counters() const;  // between passes

  // PageSource
  const Manifest& manifest() const override;
  Result<ByteView> page(PageIndex index) override;
  Result<void> read(PageIndex index, std::uint64_t offset, MutableByteView out) override;
  PagedTensors* paged() override { return plan_.pages_anything() ? this : nullptr; }
  bool holds_screen() const override { return plan_.holds_screen; }
  std::uint32_t most_rows() const override { return plan_.most_rows; }

  // PagedTensors
  bool is_paged(std::uint32_t tensor) const override;
  void begin(const Walk& walk, Parallel& parallel) override;
  void end() override;
  void layer_begins(const LayerInput& input) override;
  Result<std::span<const RowBlock>> rows_from(std::uint32_t tensor, std::uint32_t first) override;
  Result<Tiles> tiles_from(std::uint32_t tensor, std::span<const std::uint8_t> wanted,
                           std::uint32_t first) override;
  void want(std::uint32_t tensor, std::span<const std::uint8_t> wanted) override;
  Result<Neurons> neurons_from(std::uint32_t first) override;

 private:
  static constexpr std::uint32_t kNoTensor = ~0U;
  struct Stretch {  // of the stream's cycle
    std::uint32_t first = 0, last = 0;
  };
  struct Segments {  // [first, last) of a tensor
    std::uint32_t first = 0, last = 0;
  };
  // A page that stays in memory, one way or the other.
  struct Held {
    std::uint32_t page = 0;
    std::byte* decoded = nullptr;
    std::byte* coded = nullptr;
  };
  // What read() works with.
  struct Lookup {
    std::mutex mutex;
    std::unique_ptr<paging::AlignedMemory>
        memory;  // a page as it is read; a coded one, then decoded
    Sha256 hasher;
    std::optional<PageCoder> coder;
    std::uint64_t calls = 0;
    std::uint32_t page = ~0U;           // that is in memory ...
    const std::byte* at = nullptr;      // ... and where
    std::unique_ptr<BlockReads> reads;  // last: gone before the memory that it writes to
  };

  Pager(Clock& clock, ResidencyPlan plan);
  // In pager_opening.cpp.
  void lay_out_stream();
  void find_layers(std::span<const std::uint32_t> read);
  Result<void> open_files(Disk& disk);
  void open_coders(const TagKey& key);
  Result<void> open_stream(Disk& disk, const TagKey& key);
  Result<void> open_guesses(Disk& disk);
  Result<void> open_tiles(Disk& disk, const TagKey& key);
  Result<void> learn_tags(Parallel& parallel);
  Result<void> read_pinned(Parallel& parallel);
  Result<void> read_run(std::span<const std::uint32_t> pages, Parallel& parallel);
  Result<void> decode_held(Parallel& parallel);
  Result<void> decode_run(std::span<const Held> pages, MutableByteView staging, Parallel& parallel);
  Result<void> code_held(Parallel& parallel);

  bool is_pinned(std::uint32_t tensor, std::size_t segment) const;
  bool is_kept_coded(std::uint32_t tensor, std::size_t segment) const;
  bool is_read(std::uint32_t page) const;
  Result<void> look_up(std::uint32_t page);
  Segments segments_from(std::uint32_t tensor, std::uint32_t first) const;
  Result<void> bring(std::uint32_t tensor, Segments segments);
  void walk_into(std::uint32_t tensor);
  bool decode_ahead();
  const std::byte* data_of(std::uint32_t tensor, std::uint32_t segment) const;
  Result<Neurons> decoded_neurons_from(std::uint32_t first);

  Clock& clock_;
  ResidencyPlan plan_;
  std::unique_ptr<paging::StoredPages> pages_;
  std::vector<paging::AlignedMemory> held_;     // what stays in memory
  std::vector<const std::byte*> pinned_at_;     // of each page; nullptr: not pinned
  std::vector<ByteView> coded_at_;              // of each page; empty: not kept coded
  std::vector<paging::CodedPage> coded_cycle_;  // those that are kept coded, in order of use
  std::vector<std::uint32_t> coded_place_;      // in it, of each page, or of what comes next
  std::vector<std::uint32_t> coded_after_;      // in it, what comes after each tensor
  std::uint32_t coded_head_ = 0;                // in it, where the head's begin
  std::vector<std::uint32_t> stream_;           // the cycle of those that are read
  std::vector<std::uint32_t> entry_;            // in it, of each page, or of what comes next
  std::vector<std::uint8_t> rows_follow_;       // a tensor: what is multiplied next is read by rows
  std::uint32_t head_ = kNoTensor;
  std::vector<Stretch> layers_;                    // of each layer; the head last
  std::vector<std::vector<RowBlock>> key_blocks_;  // of each layer, for a predictor
  std::unique_ptr<paging::CodedPages> coded_;
  std::unique_ptr<paging::PageStream> stream_reads_;
  std::unique_ptr<paging::NeuronCache> neurons_;
  std::unique_ptr<paging::HeadTiles>
      head_tiles_;  // where a screen leaves few of a head that streams
  PagerCounters counters_;

  std::mutex pass_;  // held from begin to end
  Parallel* parallel_ = nullptr;
  Walk walk_;
  std::vector<RowBlock> blocks_;
  std::vector<paging::CodedPage> bringing_;  // scratch
  std::uint32_t next_coded_ = 0;             // of coded_cycle_
  Result<void> wanted_;                      // what want() came to
  std::uint32_t wanted_tensor_ = kNoTensor;  // of which decoded_neurons_from() gives rows
  std::vector<const std::byte*> neuron_at_;  // its rows

  Lookup lookup_;
};

}  // namespace skein
