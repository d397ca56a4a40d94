// MemoryDisk: a Disk in memory that knows what would survive a crash, and can fail at the n-th
// operation. State, not scripts: a test puts files in, cuts the power anywhere, and looks at what
// is left. One thread.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "common/env/disk.h"

namespace skein::test {

class MemoryDisk final : public Disk {
 public:
  // What a power cut leaves of work that was not synced: nothing, or (as file systems also do) the
  // new names with only half of each file's bytes.
  enum class Cut : unsigned char { kForgetsUnsynced, kKeepsNamesOfTornFiles };

  std::uint64_t operations() const { return operations_; }
  // The n-th operation from now (0 = the next) fails, and all after it until crash().
  // What MappedFile::identity() says of every file; empty at first.
  void identify_files_as(std::string identity) { identity_ = std::move(identity); }
  void fail_after(std::uint64_t n) { fail_at_ = operations_ + n; }
  void crash(Cut cut) {
    fail_at_ = kNever;
    if (cut == Cut::kForgetsUnsynced) names_ = durable_names_;
    for (auto& [path, inode] : names_) {
      if (cut == Cut::kKeepsNamesOfTornFiles && inode->now.size() > inode->durable.size()) {
        inode->now.resize((inode->durable.size() + inode->now.size()) / 2);
      } else {
        inode->now = inode->durable;
      }
      inode->durable = inode->now;
    }
    durable_names_ = names_;
  }

  std::vector<std::string> paths() const {
    std::vector<std::string> all;
    for (const auto& [path, inode] : names_) all.push_back(path);
    return all;
  }
  // The bytes themselves, for tests that damage them.
  Buffer& contents(const std::string& path) { return names_.at(path)->now; }
  void place(const std::string& path, Buffer bytes) {
    names_[path] = std::make_shared<Inode>(Inode{bytes, bytes});
    durable_names_[path] = names_[path];
    directories_.insert(parent_path(path));
  }

  Task<Result<std::unique_ptr<File>>> open(std::string path, OpenMode mode) override {
    CO_TRY_VOID(step(path));
    if (mode == OpenMode::kCreate) {
      if (!directories_.contains(parent_path(path))) co_return absent(parent_path(path));
      auto& inode = names_[path];
      if (!inode) inode = std::make_shared<Inode>();
      inode->now.clear();
    }
    const auto found = names_.find(path);
    if (found == names_.end()) co_return absent(path);
    co_return std::make_unique<MemoryFile>(*this, found->second, path);
  }
  Result<std::unique_ptr<MappedFile>> map(const std::string& path) override {
    TRY_VOID(step(path));
    const auto found = names_.find(path);
    if (found == names_.end()) return absent(path);
    return std::make_unique<MemoryMap>(found->second->now, identity_);
  }
  Task<Result<void>> rename(std::string from, std::string to) override {
    CO_TRY_VOID(step(from));
    const auto found = names_.find(from);
    if (found == names_.end()) co_return absent(from);
    names_[to] = found->second;
    names_.erase(from);
    co_return Result<void>{};
  }
  Task<Result<void>> remove(std::string path) override {
    CO_TRY_VOID(step(path));
    names_.erase(path);
    co_return Result<void>{};
  }
  Task<Result<void>> make_directories(std::string path) override {
    CO_TRY_VOID(step(path));
    while (directories_.insert(path).second && parent_path(path) != path) path = parent_path(path);
    co_return Result<void>{};
  }
  Task<Result<void>> sync_directory(std::string path) override {
    CO_TRY_VOID(step(path));
    std::erase_if(durable_names_, [&](const auto& entry) {
      return parent_path(entry.first) == path && !names_.contains(entry.first);
    });
    for (const auto& [name, inode] : names_) {
      if (parent_path(name) == path) durable_names_[name] = inode;
    }
    co_return Result<void>{};
  }
  Task<Result<std::vector<std::string>>> list(std::string path) override {
    CO_TRY_VOID(step(path));
    if (!directories_.contains(path)) co_return absent(path);
    std::set<std::string> found;
    const auto add = [&](const std::string& entry) {
      if (entry != path && parent_path(entry) == path) found.insert(entry.substr(path.size() + 1));
    };
    for (const auto& [name, inode] : names_) add(name);
    for (const auto& directory : directories_) add(directory);
    co_return std::vector<std::string>(found.begin(), found.end());
  }
  Result<bool> exists(const std::string& path) override {
    TRY_VOID(step(path));
    return names_.contains(path) || directories_.contains(path);
  }
  Result<std::uint64_t> free_bytes(const std::string&) override { return std::uint64_t{1} << 40; }

 private:
  static constexpr std::uint64_t kNever = ~0ULL;

  struct Inode {
    Buffer now;
    Buffer durable;
  };
  static tl::unexpected<Error> absent(const std::string& path) {
    return fail(Errc::kNotFound, "there is no such file", path);
  }
  Result<void> step(const std::string& path) {
    if (operations_++ >= fail_at_) return fail(Errc::kInput, "the power is cut", path);
    return {};
  }

  class MemoryMap final : public MappedFile {
   public:
    // Mapped at a multiple of 64, whatever the allocator gave.
    MemoryMap(const Buffer& bytes, std::string identity)
        : store_(bytes.size() + 64), size_(bytes.size()), identity_(std::move(identity)) {
      const auto address = reinterpret_cast<std::uintptr_t>(store_.data());
      start_ = (64 - address % 64) % 64;
      std::copy(bytes.begin(), bytes.end(), store_.data() + start_);
    }
    ByteView bytes() const override { return ByteView(store_).subspan(start_, size_); }
    std::string identity() const override { return identity_; }

   private:
    Buffer store_;
    std::size_t size_;
    std::size_t start_ = 0;
    std::string identity_;
  };

  class MemoryFile final : public File {
   public:
    MemoryFile(MemoryDisk& disk, std::shared_ptr<Inode> inode, std::string path)
        : disk_(disk), inode_(std::move(inode)), path_(std::move(path)) {}
    std::uint64_t size() const override { return inode_->now.size(); }
    Task<Result<void>> read_at(std::uint64_t offset, MutableByteView all) override {
      CO_TRY_VOID(disk_.step(path_));
      if (offset > size() || size() - offset < all.size()) {
        co_return fail(Errc::kInput, "the file is shorter", path_);
      }
      std::copy_n(inode_->now.data() + offset, all.size(), all.data());
      co_return Result<void>{};
    }
    Task<Result<void>> write_at(std::uint64_t offset, ByteView all) override {
      CO_TRY_VOID(disk_.step(path_));
      if (inode_->now.size() < offset + all.size()) inode_->now.resize(offset + all.size());
      std::copy(all.begin(), all.end(), inode_->now.data() + offset);
      co_return Result<void>{};
    }
    Task<Result<void>> sync() override {
      CO_TRY_VOID(disk_.step(path_));
      inode_->durable = inode_->now;
      co_return Result<void>{};
    }

   private:
    MemoryDisk& disk_;
    std::shared_ptr<Inode> inode_;
    std::string path_;
  };

  std::map<std::string, std::shared_ptr<Inode>> names_;
  std::map<std::string, std::shared_ptr<Inode>> durable_names_;
  std::set<std::string> directories_ = {".", "/"};
  std::uint64_t operations_ = 0;
  std::uint64_t fail_at_ = kNever;
  std::string identity_;
};

}  // namespace skein::test
