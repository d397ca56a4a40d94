#include "coordinator/registry/inbox.h"

#include <algorithm>

namespace skein {

namespace {

constexpr std::chrono::minutes kIdleLimit{10};
constexpr std::uint64_t kDiskReserve = 64U << 20;

// Says for as long as it lives that a part is being written.
class Writing {
 public:
  explicit Writing(bool& busy) : busy_(busy) { busy_ = true; }
  ~Writing() { busy_ = false; }
  Writing(const Writing&) = delete;
  Writing& operator=(const Writing&) = delete;

 private:
  bool& busy_;
};

}  // namespace

Inbox::Inbox(Env env, std::string folder) : env_(env), folder_(std::move(folder)) {}

Task<Result<std::uint64_t>> Inbox::begin(std::uint64_t bytes) {
  if (bytes == 0 || bytes > kMaxUploadBytes) {
    co_return fail(Errc::kUsage,
                   "an upload must have 1 to " + std::to_string(kMaxUploadBytes) + " bytes");
  }
  CO_TRY_VOID(co_await make_room());
  // The file, and its pages beside it when they are imported.
  CO_TRY(const std::uint64_t free, env_.disk.free_bytes(folder_));
  if (free / 2 < bytes + kDiskReserve) {
    co_return fail(Errc::kOutOfRoom,
                   "the disk has " + std::to_string(free) +
                       " bytes left, too few for an upload of " + std::to_string(bytes),
                   folder_, "make room on the coordinator's disk");
  }
  const std::uint64_t id = next_++;
  auto upload = std::make_shared<Upload>();
  upload->path = join_path(folder_, "part-" + std::to_string(id) + ".skein");
  upload->bytes = bytes;
  upload->moved = env_.clock.now();
  CO_TRY(upload->file, co_await env_.disk.open(upload->path, OpenMode::kCreate));
  uploads_.emplace(id, std::move(upload));
  co_return id;
}

Task<Result<void>> Inbox::make_room() {
  if (uploads_.size() < kMaxUploads) co_return Result<void>{};
  const auto stale = std::ranges::find_if(uploads_, [&](const auto& entry) {
    return !entry.second->busy && env_.clock.now() - entry.second->moved > kIdleLimit;
  });
  if (stale == uploads_.end()) {
    co_return fail(Errc::kOutOfRoom, std::to_string(kMaxUploads) + " uploads are under way", {},
                   "try again when one has ended");
  }
  co_return co_await remove(stale->first);
}

Result<std::shared_ptr<Inbox::Upload>> Inbox::find(std::uint64_t upload) const {
  const auto found = uploads_.find(upload);
  if (found != uploads_.end()) return found->second;
  return fail(Errc::kNotFound, "there is no upload " + std::to_string(upload), {},
              "begin it again");
}

Task<Result<std::uint64_t>> Inbox::append(std::uint64_t id, std::uint64_t offset,
                                          std::string part) {
  CO_TRY(const auto upload, find(id));
  if (upload->busy) co_return fail(Errc::kConflict, "another part is being written");
  if (offset > upload->have) {
    co_return fail(Errc::kConflict, "the upload has " + std::to_string(upload->have) +
                                        " bytes: a part at " + std::to_string(offset) +
                                        " would leave a gap");
  }
  if (part.size() > upload->bytes - offset)
    co_return fail(Errc::kUsage, "the part goes beyond the upload's announced size");
  const Writing writing(upload->busy);
  CO_TRY_VOID(co_await upload->file->write_at(offset, as_bytes(part)));
  upload->have = std::max(upload->have, offset + part.size());
  upload->moved = env_.clock.now();
  co_return upload->have;
}

Task<Result<std::string>> Inbox::complete(std::uint64_t id) {
  CO_TRY(const auto upload, find(id));
  if (upload->busy || upload->have != upload->bytes) {
    co_return fail(Errc::kConflict, "the upload has " + std::to_string(upload->have) + " of " +
                                        std::to_string(upload->bytes) + " bytes");
  }
  const Writing writing(upload->busy);
  upload->moved = env_.clock.now();
  CO_TRY_VOID(co_await upload->file->sync());
  co_return upload->path;
}

Task<Result<void>> Inbox::remove(std::uint64_t id) {
  const auto found = uploads_.find(id);
  if (found == uploads_.end()) co_return Result<void>{};
  const std::string path = found->second->path;
  uploads_.erase(found);
  co_return co_await env_.disk.remove(path);
}

}  // namespace skein
