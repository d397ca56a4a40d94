// Disk: files, with durability said out loud. Loop thread only. Paths are plain strings below
// whatever root the Env gives; the simulator keeps files in memory and forgets what was not synced.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/env/task.h"

namespace skein {

// Reads and writes are whole or fail; nothing is durable before sync().
class File {
 public:
  virtual ~File() = default;  // closes
  virtual std::uint64_t size() const = 0;
  virtual Task<Result<void>> read_at(std::uint64_t offset, MutableByteView all) = 0;
  virtual Task<Result<void>> write_at(std::uint64_t offset, ByteView all) = 0;  // grows the file
  virtual Task<Result<void>> sync() = 0;
};

// A whole file, readable in place for as long as this lives. 64-byte aligned.
class MappedFile {
 public:
  virtual ~MappedFile() = default;
  virtual ByteView bytes() const = 0;
  // A hint: these bytes need not stay in memory until they are looked at again.
  virtual void forget(std::uint64_t offset, std::uint64_t count) const;
  // A text that is another one as soon as the file may hold other bytes, or this machine was
  // started again; empty when that cannot be told.
  virtual std::string identity() const;
};

class BlockReads;  // block_reads.h

enum class OpenMode : unsigned char { kRead, kReadWrite, kCreate /* new or emptied, read-write */ };

class Disk {
 public:
  virtual ~Disk() = default;
  virtual Task<Result<std::unique_ptr<File>>> open(std::string path, OpenMode mode) = 0;
  virtual Result<std::unique_ptr<MappedFile>> map(const std::string& path) = 0;
  // For reads that overlap with computing, on any one thread. Unless a disk knows better these are
  // copies out of map().
  virtual Result<std::unique_ptr<BlockReads>> open_blocks(const std::string& path);
  // Atomic; replaces. Durable after sync_directory of the parent.
  virtual Task<Result<void>> rename(std::string from, std::string to) = 0;
  virtual Task<Result<void>> remove(std::string path) = 0;            // absent is fine
  virtual Task<Result<void>> make_directories(std::string path) = 0;  // present is fine; durable
  virtual Task<Result<void>> sync_directory(std::string path) = 0;
  // Names (not paths) of what is in the directory, sorted. Errc::kNotFound.
  virtual Task<Result<std::vector<std::string>>> list(std::string path) = 0;
  virtual Result<bool> exists(const std::string& path) = 0;
  virtual Result<std::uint64_t> free_bytes(const std::string& path) = 0;
};

// The whole file; Errc::kCorrupt when it is larger than `limit`, kNotFound when absent.
Task<Result<Buffer>> read_file(Disk& disk, std::string path, std::uint64_t limit);
// All or nothing, durable on return: a temporary beside it, sync, rename, sync of the directory.
Task<Result<void>> replace_file(Disk& disk, std::string path, ByteView bytes);
std::string join_path(std::string_view directory, std::string_view name);
std::string parent_path(std::string_view path);

}  // namespace skein
