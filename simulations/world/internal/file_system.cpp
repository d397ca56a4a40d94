#include "simulations/world/internal/file_system.h"

#include <algorithm>

namespace skein::sim {

namespace {

tl::unexpected<Error> absent(const std::string& path) {
  return fail(Errc::kNotFound, "the file cannot be opened: No such file or directory", path,
              "check the path");
}

void put(Buffer& file, std::uint64_t offset, ByteView bytes) {
  if (file.size() < offset + bytes.size()) file.resize(offset + bytes.size());
  std::ranges::copy(bytes, file.begin() + static_cast<std::ptrdiff_t>(offset));
}

void settle(Inode& inode, const Inode::Write& write, std::size_t kept) {
  if (write.empties) {
    inode.durable.clear();
  } else {
    put(inode.durable, write.offset, ByteView(write.bytes).first(kept));
  }
}

void crash_inode(Inode& inode, Random& random, const FaultPlan& plan) {
  for (const Inode::Write& write : inode.pending) {
    const double fate = random.unit();
    if (fate < plan.kept_write) {
      settle(inode, write, write.bytes.size());
    } else if (fate < plan.kept_write + plan.torn_write && !write.bytes.empty()) {
      settle(inode, write, random.below(write.bytes.size()));
    }
  }
  inode.pending.clear();
  inode.current = inode.durable;
}

}  // namespace

std::string plain_path(std::string_view path) {
  std::string plain;
  for (const char c : path) {
    if (c == '/' && plain.ends_with('/')) continue;
    plain += c;
  }
  while (plain.starts_with("./")) plain.erase(0, 2);
  while (plain.size() > 1 && plain.ends_with('/')) plain.pop_back();
  return plain.empty() ? "." : plain;
}

bool FileSystem::is_directory(const std::string& path) const {
  return path == "." || path == "/" || directories_.contains(path);
}

bool FileSystem::exists(const std::string& path) const {
  return is_directory(path) || current_.contains(path);
}

InodePtr FileSystem::find(const std::string& path) const {
  const auto found = current_.find(path);
  return found == current_.end() ? nullptr : found->second;
}

Result<void> FileSystem::need_parent(const std::string& path) const {
  if (is_directory(path)) {
    return fail(Errc::kInput, "the path is a directory", path, "name a file");
  }
  if (!is_directory(parent_path(path))) return absent(path);
  return {};
}

void FileSystem::apply(Names& names, const Change& change) {
  for (const auto& [path, inode] : change.names) {
    if (inode) {
      names[path] = inode;
    } else {
      names.erase(path);
    }
  }
}

void FileSystem::change(std::vector<std::pair<std::string, InodePtr>> names) {
  pending_.push_back({number_++, std::move(names)});
  apply(current_, pending_.back());
}

Result<InodePtr> FileSystem::open(const std::string& path, OpenMode mode) {
  TRY_VOID(need_parent(path));
  InodePtr inode = find(path);
  if (mode != OpenMode::kCreate) {
    if (!inode) return absent(path);
    return inode;
  }
  if (!inode) {
    inode = std::make_shared<Inode>();
    change({{path, inode}});
  } else if (!inode->current.empty()) {
    inode->current.clear();
    inode->pending.push_back({number_++, 0, {}, true});
  }
  return inode;
}

Result<void> FileSystem::write(Inode& inode, std::uint64_t offset, ByteView bytes) {
  const std::uint64_t end = offset + bytes.size();
  if (end > inode.current.size() && end - inode.current.size() > free_bytes()) {
    return fail(Errc::kOutOfRoom, "the file cannot be written: No space left on device", {},
                "free some space or use another disk");
  }
  put(inode.current, offset, bytes);
  inode.pending.push_back({number_++, offset, to_buffer(bytes)});
  return {};
}

Result<void> FileSystem::rename(const std::string& from, const std::string& to) {
  const InodePtr inode = find(from);
  if (!inode) return absent(from);
  TRY_VOID(need_parent(to));
  if (from != to) change({{from, nullptr}, {to, inode}});
  return {};
}

Result<void> FileSystem::remove(const std::string& path) {
  if (directories_.contains(path)) {
    TRY(const auto names, list(path));
    if (!names.empty()) {
      return fail(Errc::kInput, "the file cannot be removed: Directory not empty", path);
    }
    directories_.erase(path);
  } else if (current_.contains(path)) {
    change({{path, nullptr}});
  }
  return {};
}

Result<void> FileSystem::make_directories(const std::string& path) {
  if (is_directory(path)) return {};
  if (current_.contains(path)) {
    return fail(Errc::kInput, "a file stands where a directory should be", path);
  }
  TRY_VOID(make_directories(parent_path(path)));
  directories_.insert(path);
  return {};
}

Result<std::vector<std::string>> FileSystem::list(const std::string& path) const {
  if (!is_directory(path)) return absent(path);
  std::vector<std::string> names;
  const auto keep = [&](const std::string& each) {
    if (each != path && parent_path(each) == path) {
      names.push_back(each.substr(each.find_last_of('/') + 1));
    }
  };
  for (const auto& [each, inode] : current_) keep(each);
  for (const std::string& each : directories_) keep(each);
  std::ranges::sort(names);
  return names;
}

void FileSystem::sync(Inode& inode, std::uint64_t until) {
  const auto is_covered = [&](const Inode::Write& write) { return write.number < until; };
  const auto end = std::ranges::find_if_not(inode.pending, is_covered);
  for (auto write = inode.pending.begin(); write != end; ++write) {
    settle(inode, *write, write->bytes.size());
  }
  inode.pending.erase(inode.pending.begin(), end);
}

void FileSystem::sync_directory(const std::string& path, std::uint64_t until) {
  std::erase_if(pending_, [&](const Change& change) {
    const bool here = std::ranges::any_of(
        change.names, [&](const auto& entry) { return parent_path(entry.first) == path; });
    if (!here || change.number >= until) return false;
    apply(durable_, change);
    return true;
  });
}

void FileSystem::crash(Random& random, const FaultPlan& plan) {
  const std::uint64_t kept = random.below(pending_.size() + 1);
  for (std::uint64_t i = 0; i < kept; ++i) apply(durable_, pending_[i]);
  pending_.clear();
  current_ = durable_;
  for (const auto& [path, inode] : current_) crash_inode(*inode, random, plan);
}

std::uint64_t FileSystem::free_bytes() const {
  if (capacity_ == UINT64_MAX) return std::uint64_t{1} << 40;
  std::uint64_t used = 0;
  for (const auto& [path, inode] : current_) used += inode->current.size();
  return used < capacity_ ? capacity_ - used : 0;
}

std::vector<std::string> FileSystem::paths() const {
  std::vector<std::string> paths;
  for (const auto& [path, inode] : current_) paths.push_back(path);
  return paths;
}

}  // namespace skein::sim
