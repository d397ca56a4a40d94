// UploadFiles: the bytes of updates as they arrive, one file per round and device, durable chunk by
// chunk. Private to coordinator/federation; loop thread only.
#pragma once

#include <string>

#include "common/base/ids.h"
#include "common/env/disk.h"

namespace skein::internal {

struct UploadName {
  RoundId round{};
  DeviceId device{};
  friend auto operator<=>(const UploadName&, const UploadName&) = default;
};

class UploadFiles {
 public:
  // <directory>/<round>-<device>.update
  UploadFiles(Disk& disk, std::string directory) : disk_(disk), directory_(std::move(directory)) {}

  Task<Result<void>> prepare();                       // the directory exists
  Task<Result<std::uint64_t>> have(UploadName name);  // bytes there; 0 when absent
  // Durable on return; gives the file's size. offset <= have().
  Task<Result<std::uint64_t>> write(UploadName name, std::uint64_t offset, ByteView bytes);
  Task<Result<Buffer>> read(UploadName name, std::uint64_t limit);
  Task<Result<void>> remove(UploadName name);  // absent is fine
  Task<Result<void>> remove_all(RoundId round);

 private:
  std::string path_of(UploadName name) const;
  Disk& disk_;
  std::string directory_;
};

}  // namespace skein::internal
