// An artifact on disk that can be opened under a budget and damaged. Tests only.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "common/artifact/artifact_file.h"
#include "common/crypto/sha256.h"
#include "common/env/block_reads.h"
#include "common/env/real/real_env.h"
#include "common/model/model.h"
#include "edge_node/paging/pager.h"
#include "tests/edge_node/paging/still_disk.h"
#include "tests/support/memory_pages.h"

namespace skein::test {

// The pages of a test's model with their hashes.
class HashedPages final : public PageSource {
 public:
  explicit HashedPages(MemoryPages& pages) : pages_(pages), manifest_(pages.manifest()) {
    for (std::uint32_t i = 0; i < manifest_.pages.size(); ++i) {
      manifest_.pages[i].digest = sha256(*pages.page(PageIndex(i)));
    }
  }
  const Manifest& manifest() const override { return manifest_; }
  Result<ByteView> page(PageIndex index) override { return pages_.page(index); }

 private:
  MemoryPages& pages_;
  Manifest manifest_;
};

class PagedModel {
 public:
  explicit PagedModel(MemoryPages& pages, PageCoding coding = PageCoding::kPlain,
                      std::optional<BlockIo> reads = {})
      : real_({.compute_threads = 1, .block_io = reads}) {
    HashedPages hashed(pages);
    write(hashed, coding);
  }
  // An artifact as it is.
  explicit PagedModel(PageSource& pages) { write(pages); }
  ~PagedModel() {
    model.reset();
    pager.reset();
    std::filesystem::remove_all(folder_);
  }
  PagedModel(const PagedModel&) = delete;
  PagedModel& operator=(const PagedModel&) = delete;

  std::string path() const { return folder_ + "/model.skein"; }
  const Manifest& manifest() const { return artifact_.manifest; }
  const Pager::Artifact& artifact() const { return artifact_; }
  Clock& clock() { return real_.env().clock; }
  // From now on reads come out of a copy of the file.
  StillFile& still() {
    if (!still_) {
      std::ifstream file(path(), std::ios::binary);
      const std::string text((std::istreambuf_iterator<char>(file)), {});
      still_file_.bytes = to_buffer(as_bytes(text));
      still_.emplace(real_.env().disk, still_file_);
      artifact_.alignment = 512;
    }
    return still_file_;
  }
  Disk& disk() { return still_ ? static_cast<Disk&>(*still_) : real_.env().disk; }

  Result<void> open(ResidencyPlan plan, Parallel& parallel) {
    model.reset();
    pager.reset();
    TagKey key;
    for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::byte>(i * 37 + 5);
    TRY(pager, Pager::open(disk(), clock(), parallel, artifact_, std::move(plan), key));
    TRY(model, Model::open(*pager));
    return {};
  }
  // This share of each matrix's pages and of the neurons' rows stays in memory, and of the
  // matrices' pages `coded` of them coded; few and small buffers. 1 of the first: all of them do,
  // and nothing is paged.
  ResidencyPlan plan(double share, double coded = 0,
                     std::uint64_t most_coded = std::uint64_t{1} << 26) const {
    ResidencyRequest request = artifact_.request();
    request.budget = std::uint64_t{1} << 34;
    ResidencyPlan plan = *plan_residency(manifest(), request);
    if (share >= 1) return plan;
    if (artifact_.coded || coded > 0) {
      plan.coders = 2;
      plan.decode_buffers = 9;
      plan.coded_bytes = coded > 0 ? most_coded : 0;
    }
    plan.stream_slots = 9;
    for (const PageEntry& page : manifest().pages) {
      const std::uint32_t whole = page.bytes + 3 * BlockReads::kMostAlignment;
      plan.slot_bytes = std::max(plan.slot_bytes,
                                 whole / BlockReads::kMostAlignment * BlockReads::kMostAlignment);
      plan.decode_buffer_bytes = plan.slot_bytes;
    }
    plan.staging_bytes = std::uint64_t{1} << 18;
    plan.ahead_bytes = ahead_bytes;
    plan.tile_bytes = tile_bytes;
    plan.kept_row_bytes = 2048;
    double rows = 0;
    for (const std::uint32_t index : order_of_use(manifest())) {
      const TensorEntry& tensor = manifest().tensors[index];
      const std::uint32_t page = tensor.segments[0].page;
      const bool is_plain =
          !artifact_.coded || is_stored_page(artifact_.sizes[page], manifest().pages[page].bytes);
      const bool by_rows = tensor.layout == Layout::kRows && is_plain;
      const auto segments = static_cast<double>(tensor.segments.size());
      const auto pinned = static_cast<std::uint32_t>(share * segments);
      const auto held = static_cast<std::uint32_t>((share + coded) * segments);
      plan.tensors[index] = {by_rows ? Residence::kRows : Residence::kStreamed,
                             by_rows ? 0 : pinned, by_rows ? 0 : held - pinned};
      if (by_rows) rows += share * tensor.rows;
    }
    plan.kept_rows = static_cast<std::uint32_t>(rows);
    plan.paged_bytes = 1;
    plan.most_rows = 8;
    return plan;
  }

  // A byte of a page, at a share of it, is another one from now on.
  void damage(std::uint32_t page, double place = 0) {
    std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
    const double into = place * artifact_.sizes[page];
    const auto at =
        static_cast<std::streamoff>(artifact_.offsets[page] + static_cast<std::uint64_t>(into));
    file.seekg(at);
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(at);
    file.put(byte);
  }
  void truncate(std::uint64_t bytes) { std::filesystem::resize_file(path(), bytes); }

  std::unique_ptr<Pager> pager;
  std::unique_ptr<Model> model;
  std::uint64_t tile_bytes = std::uint64_t{1} << 16;   // of the plans that it makes
  std::uint64_t ahead_bytes = std::uint64_t{1} << 17;  // likewise

 private:
  void write(PageSource& pages, PageCoding coding = PageCoding::kPlain) {
    std::string pattern = std::filesystem::temp_directory_path() / "skein-paged-XXXXXX";
    CHECK(mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
    const auto written =
        real_.run(write_artifact(real_.env().disk, path(), pages, std::nullopt, coding));
    CHECK(written.has_value());
    artifact_ = std::move(*Pager::look_at(real_.env().disk, path()));
    artifact_.damaged = std::make_shared<DamagedPages>();
  }

  std::string folder_;
  RealEnv real_{{.compute_threads = 1}};
  Pager::Artifact artifact_;
  StillFile still_file_;
  std::optional<StillDisk> still_;
};

}  // namespace skein::test
