// FrozenDisk: a node's disk as it stands now, read-only, outside virtual time: what checkers look
// through with the product's own readers. Its tasks never wait. The World outlives it.
#pragma once

#include <optional>
#include <string>

#include "common/env/disk.h"
#include "simulations/world/world.h"

namespace skein {

class FrozenDisk final : public Disk {
 public:
  FrozenDisk(const World& world, std::string node) : world_(world), node_(std::move(node)) {}

  Task<Result<std::unique_ptr<File>>> open(std::string path, OpenMode mode) override;
  Result<std::unique_ptr<MappedFile>> map(const std::string& path) override;
  Task<Result<void>> rename(std::string from, std::string to) override;
  Task<Result<void>> remove(std::string path) override;
  Task<Result<void>> make_directories(std::string path) override;
  Task<Result<void>> sync_directory(std::string path) override;
  Task<Result<std::vector<std::string>>> list(std::string path) override;
  Result<bool> exists(const std::string& path) override;
  Result<std::uint64_t> free_bytes(const std::string& path) override;

 private:
  const World& world_;
  std::string node_;
};

// Runs a task that never waits, at once, on a loop of its own.
template <class T>
T run_now(Task<T> task);

}  // namespace skein

#include "simulations/checkers/internal/run_now.h"
