// PressJournal: the finished work of a press in a file beside the artifact to be. An interrupted
// run leaves it there, and the same run takes it up; any other begins anew. What is torn at its end
// was not finished.
//
// The file: "SKPRESS" 01, the run's digest (32), then records: bytes of key (u32) and value (u64),
// both, and the SHA-256 of all four.
//
// The press finds and keeps on its own thread; write() puts to disk on the loop's meanwhile.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "common/base/digest.h"
#include "common/env/disk.h"
#include "common/env/env.h"
#include "coordinator/compress/press.h"

namespace skein {

class PressJournal final : public FinishedWork {
 public:
  static constexpr std::uint32_t kMostKeyBytes = 1024;

  // `run`: all that decides what the press makes. Errors as the disk's.
  static Task<Result<std::unique_ptr<PressJournal>>> open(Env env, std::string path, Digest run);

  std::optional<ByteView> find(std::string_view key) const override;
  Result<void> keep(std::string_view key, Buffer value) override;
  std::size_t found() const { return found_.size(); }  // when it was opened

  // On the loop, until close() was called and all that was kept is written.
  Task<void> write();
  void close();  // any thread
  Result<void> failure() const;
  // The file is not needed any more: nothing is left to take up.
  Task<Result<void>> remove();

 private:
  PressJournal(Env env, std::string path) : env_(env), path_(std::move(path)) {}
  void read(ByteView file);
  Task<Result<void>> append(Buffer records);

  Env env_;
  std::string path_;
  std::unique_ptr<MappedFile> before_;
  std::map<std::string, ByteView, std::less<>> found_;
  std::unique_ptr<File> file_;
  std::uint64_t end_ = 0;  // of what is whole

  mutable std::mutex mutex_;
  Buffer waiting_;  // records
  bool closed_ = false;
  std::optional<Error> failed_;
};

}  // namespace skein
