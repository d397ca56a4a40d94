// Inbox: files on their way in, part by part, for artifacts larger than one request. Owned by the
// app; loop thread only. What was begun is forgotten at a restart: the sender begins again.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "common/env/disk.h"
#include "common/env/env.h"

namespace skein {

inline constexpr std::size_t kMaxUploads = 4;  // under way at once
inline constexpr std::uint64_t kMaxUploadBytes = 1ULL << 38;
inline constexpr std::size_t kUploadPartBytes = 4U << 20;  // what a sender is told to send at once

class Inbox {
 public:
  Inbox(Env env, std::string folder);  // the folder is there
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  // Errc::kOutOfRoom: no place among kMaxUploads, or on the disk. One that has not moved for ten
  // minutes makes room.
  Task<Result<std::uint64_t>> begin(std::uint64_t bytes);
  // Bytes held afterwards. A part that came before is accepted again; Errc::kConflict for a gap or
  // while another part is being written, kUsage beyond the size announced, kNotFound.
  Task<Result<std::uint64_t>> append(std::uint64_t upload, std::uint64_t offset, std::string part);
  // The whole file, durable; it stays until remove(). Errc::kConflict while bytes are missing.
  Task<Result<std::string>> complete(std::uint64_t upload);
  Task<Result<void>> remove(std::uint64_t upload);  // absent is fine

 private:
  struct Upload {
    std::string path;
    std::unique_ptr<File> file;
    std::uint64_t bytes = 0;
    std::uint64_t have = 0;
    bool busy = false;
    Instant moved{};
  };
  Result<std::shared_ptr<Upload>> find(std::uint64_t upload) const;
  Task<Result<void>> make_room();

  Env env_;
  std::string folder_;
  std::map<std::uint64_t, std::shared_ptr<Upload>> uploads_;
  std::uint64_t next_ = 1;
};

}  // namespace skein
