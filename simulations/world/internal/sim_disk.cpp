#include "simulations/world/internal/sim_disk.h"

#include <new>

namespace skein::sim {

namespace {

class SimFile final : public File {
 public:
  SimFile(SimDisk& disk, InodePtr inode, std::string path)
      : disk_(disk), inode_(std::move(inode)), path_(std::move(path)) {}
  std::uint64_t size() const override { return inode_->current.size(); }
  Task<Result<void>> read_at(std::uint64_t offset, MutableByteView all) override {
    return disk_.read(inode_, path_, offset, all);
  }
  Task<Result<void>> write_at(std::uint64_t offset, ByteView all) override {
    return disk_.write(inode_, path_, offset, all);
  }
  Task<Result<void>> sync() override { return disk_.sync(inode_, path_); }

 private:
  SimDisk& disk_;
  InodePtr inode_;
  std::string path_;
};

struct AlignedFree {
  void operator()(std::byte* bytes) const { ::operator delete[](bytes, std::align_val_t{64}); }
};

class SimMap final : public MappedFile {
 public:
  explicit SimMap(ByteView bytes)
      : size_(bytes.size()),
        bytes_(static_cast<std::byte*>(
            ::operator new[](std::max<std::size_t>(1, bytes.size()), std::align_val_t{64}))) {
    std::ranges::copy(bytes, bytes_.get());
  }
  ByteView bytes() const override { return {bytes_.get(), size_}; }

 private:
  std::size_t size_;
  std::unique_ptr<std::byte[], AlignedFree> bytes_;
};

tl::unexpected<Error> device_error(const std::string& path) {
  return fail(Errc::kInput, "the disk failed: Input/output error", path,
              "check the disk and the system log");
}

StorageSpeed speed_of(const FaultPlan& plan) {
  return {.megabytes_per_second = plan.disk_bytes_per_second / 1e6,
          .latency = std::chrono::floor<std::chrono::microseconds>(plan.disk_latency)};
}

}  // namespace

SimDisk::SimDisk(Core& core, FileSystem& files, std::shared_ptr<const Epoch> epoch, JobClock& clock,
                 BlockCounters& counters)
    : core_(core),
      files_(files),
      epoch_(std::move(epoch)),
      random_(core, epoch_->node + "/disk/" + std::to_string(epoch_->number)),
      blocks_{core,
              epoch_,
              SimRandom(core, epoch_->node + "/blocks/" + std::to_string(epoch_->number)),
              clock,
              counters,
              StorageModel(speed_of(core.plan()))} {}

Result<void> SimDisk::alive() const {
  if (epoch_->alive) return {};
  return tl::unexpected<Error>(dead_epoch_error(*epoch_));
}

Task<Result<void>> SimDisk::pass(std::uint64_t bytes) {
  CO_TRY_VOID(alive());
  const double transfer = static_cast<double>(bytes) / core_.plan().disk_bytes_per_second * 1e9;
  const Duration takes = random_.jitter(core_.plan().disk_latency, 0.5) +
                         Duration(static_cast<Duration::rep>(transfer));
  Task<void> passing = core_.pass_until(core_.now() + takes);
  co_await std::move(passing);
  co_return alive();
}

void SimDisk::trace(std::string_view kind, const std::string& path, std::uint64_t number) {
  core_.trace(epoch_->node, kind, path + " " + std::to_string(number));
}

void SimDisk::rot(Inode& inode, std::uint64_t offset, std::uint64_t size, const std::string& path) {
  if (size == 0 || !core_.strikes(random_, core_.plan().bit_rot)) return;
  const std::uint64_t at = offset + random_.below(size);
  const std::byte mask{static_cast<unsigned char>(1U << random_.below(8))};
  inode.current[at] ^= mask;
  if (at < inode.durable.size()) inode.durable[at] ^= mask;
  trace("disk.rot", path, at);
}

Task<Result<void>> SimDisk::read(InodePtr inode, std::string path, std::uint64_t offset,
                                 MutableByteView all) {
  CO_TRY_VOID(co_await pass(all.size()));
  const std::uint64_t size = inode->current.size();
  if (offset > size || all.size() > size - offset) {
    co_return fail(Errc::kCorrupt, "the file ends at byte " + std::to_string(size), path,
                   "it is shorter than it should be; fetch it again");
  }
  if (core_.strikes(random_, core_.plan().read_error)) co_return device_error(path);
  rot(*inode, offset, all.size(), path);
  std::ranges::copy(ByteView(inode->current).subspan(offset, all.size()), all.begin());
  co_return Result<void>{};
}

Task<Result<void>> SimDisk::write(InodePtr inode, std::string path, std::uint64_t offset,
                                  ByteView all) {
  CO_TRY_VOID(alive());
  if (core_.strikes(random_, core_.plan().write_error)) co_return device_error(path);
  trace("disk.write", path, hash_of(all));
  if (auto written = files_.write(*inode, offset, all); !written) {
    written.error().where = path;
    co_return written;
  }
  co_return co_await pass(all.size());
}

Task<Result<void>> SimDisk::sync(InodePtr inode, std::string path) {
  const std::uint64_t until = files_.moment();
  CO_TRY_VOID(co_await pass(0));
  if (core_.strikes(random_, core_.plan().write_error)) co_return device_error(path);
  files_.sync(*inode, until);
  trace("disk.sync", path);
  co_return Result<void>{};
}

Task<Result<std::unique_ptr<File>>> SimDisk::open(std::string path, OpenMode mode) {
  path = plain_path(path);
  CO_TRY_VOID(co_await pass(0));
  CO_TRY(auto inode, files_.open(path, mode));
  if (mode == OpenMode::kCreate) trace("disk.create", path);
  co_return std::make_unique<SimFile>(*this, std::move(inode), std::move(path));
}

Result<std::unique_ptr<MappedFile>> SimDisk::map(const std::string& path) {
  TRY_VOID(alive());
  const std::string plain = plain_path(path);
  TRY(const auto inode, files_.open(plain, OpenMode::kRead));
  rot(*inode, 0, inode->current.size(), plain);
  return std::make_unique<SimMap>(inode->current);
}

Result<std::unique_ptr<BlockReads>> SimDisk::open_blocks(const std::string& path) {
  TRY_VOID(alive());
  const std::string plain = plain_path(path);
  TRY(auto inode, files_.open(plain, OpenMode::kRead));
  return std::make_unique<SimBlockReads>(blocks_, std::move(inode), plain);
}

Task<Result<void>> SimDisk::rename(std::string from, std::string to) {
  CO_TRY_VOID(co_await pass(0));
  CO_TRY_VOID(files_.rename(plain_path(from), plain_path(to)));
  trace("disk.rename", from + " " + to);
  co_return Result<void>{};
}

Task<Result<void>> SimDisk::remove(std::string path) {
  CO_TRY_VOID(co_await pass(0));
  CO_TRY_VOID(files_.remove(plain_path(path)));
  trace("disk.remove", path);
  co_return Result<void>{};
}

Task<Result<void>> SimDisk::make_directories(std::string path) {
  CO_TRY_VOID(co_await pass(0));
  co_return files_.make_directories(plain_path(path));
}

Task<Result<void>> SimDisk::sync_directory(std::string path) {
  const std::uint64_t until = files_.moment();
  path = plain_path(path);
  CO_TRY_VOID(co_await pass(0));
  if (!files_.is_directory(path)) {
    co_return fail(Errc::kNotFound, "the directory cannot be opened", path, "check the path");
  }
  if (core_.strikes(random_, core_.plan().write_error)) co_return device_error(path);
  files_.sync_directory(path, until);
  trace("disk.sync_directory", path);
  co_return Result<void>{};
}

Task<Result<std::vector<std::string>>> SimDisk::list(std::string path) {
  CO_TRY_VOID(co_await pass(0));
  co_return files_.list(plain_path(path));
}

Result<bool> SimDisk::exists(const std::string& path) {
  TRY_VOID(alive());
  return files_.exists(plain_path(path));
}

Result<std::uint64_t> SimDisk::free_bytes(const std::string& /*path*/) {
  TRY_VOID(alive());
  return files_.free_bytes();
}

}  // namespace skein::sim
