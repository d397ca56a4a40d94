// FileSystem: the files of one simulated node, and what of them is durable. No time passes here.
//
// A write is pending until a sync of its file; a new, renamed or removed name is pending until a
// sync of its directory. A crash keeps the names' changes up to some moment, as a journalling file
// system does, and of each pending write all, a beginning, or nothing.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/env/disk.h"
#include "common/env/env.h"
#include "simulations/world/fault_plan.h"

namespace skein::sim {

struct Inode {
  struct Write {
    std::uint64_t number;
    std::uint64_t offset;
    Buffer bytes;
    bool empties = false;  // truncation to nothing
  };
  Buffer current;
  Buffer durable;
  std::vector<Write> pending;
};
using InodePtr = std::shared_ptr<Inode>;

class FileSystem {
 public:
  explicit FileSystem(std::uint64_t capacity) : capacity_(capacity) {}

  Result<InodePtr> open(const std::string& path, OpenMode mode);
  Result<void> write(Inode& inode, std::uint64_t offset, ByteView bytes);
  Result<void> rename(const std::string& from, const std::string& to);
  Result<void> remove(const std::string& path);
  Result<void> make_directories(const std::string& path);
  Result<std::vector<std::string>> list(const std::string& path) const;
  bool exists(const std::string& path) const;
  bool is_directory(const std::string& path) const;
  InodePtr find(const std::string& path) const;

  // A sync covers what was asked before it began: take the moment first, sync when time has passed.
  std::uint64_t moment() const { return number_; }
  void sync(Inode& inode, std::uint64_t until);
  void sync_directory(const std::string& path, std::uint64_t until);

  void crash(Random& random, const FaultPlan& plan);

  std::uint64_t free_bytes() const;
  void set_capacity(std::uint64_t bytes) { capacity_ = bytes; }
  std::vector<std::string> paths() const;

 private:
  using Names = std::map<std::string, InodePtr>;
  struct Change {  // an absent inode removes the name; all entries happen together
    std::uint64_t number;
    std::vector<std::pair<std::string, InodePtr>> names;
  };
  void change(std::vector<std::pair<std::string, InodePtr>> names);
  static void apply(Names& names, const Change& change);
  Result<void> need_parent(const std::string& path) const;

  std::uint64_t capacity_;
  std::uint64_t number_ = 0;
  Names current_;
  Names durable_;
  std::vector<Change> pending_;
  std::set<std::string> directories_;  // durable at once
};

// One spelling for each path: no "./" in front, no "//", no "/" at the end.
std::string plain_path(std::string_view path);

}  // namespace skein::sim
