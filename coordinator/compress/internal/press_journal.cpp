#include "coordinator/compress/internal/press_journal.h"

#include <algorithm>
#include <utility>

#include "common/crypto/sha256.h"

namespace skein {
namespace {

constexpr std::string_view kMagic("SKPRESS\1", 8);
constexpr std::size_t kHeader = kMagic.size() + sizeof(Digest);
constexpr std::size_t kLengths = sizeof(std::uint32_t) + sizeof(std::uint64_t);
constexpr auto kLook = std::chrono::milliseconds(100);

Buffer header_of(const Digest& run) {
  Buffer out = to_buffer(kMagic);
  append(out, run.bytes);
  return out;
}

Buffer record_of(std::string_view key, ByteView value) {
  Buffer out;
  out.reserve(kLengths + key.size() + value.size() + sizeof(Digest));
  append_le(out, static_cast<std::uint32_t>(key.size()));
  append_le(out, std::uint64_t{value.size()});
  append(out, as_bytes(key));
  append(out, value);
  append(out, sha256(out).bytes);
  return out;
}

struct Record {
  ByteView key, value;
  std::size_t bytes = 0;  // of all of it
};

// The record that `file` begins with; nothing when it is not whole.
std::optional<Record> first_record(ByteView file) {
  if (file.size() < kLengths + sizeof(Digest)) return std::nullopt;
  const auto key = load_le<std::uint32_t>(file, 0);
  const auto value = load_le<std::uint64_t>(file, sizeof(std::uint32_t));
  if (key > PressJournal::kMostKeyBytes) return std::nullopt;
  const std::size_t room = file.size() - kLengths - sizeof(Digest);
  if (key > room || value > room - key) return std::nullopt;
  const std::size_t told = kLengths + key + static_cast<std::size_t>(value);
  const Digest digest = sha256(file.first(told));
  if (Digest::from_bytes(file.subspan(told, sizeof(Digest))) != digest) return std::nullopt;
  return Record{.key = file.subspan(kLengths, key),
                .value = file.subspan(kLengths + key, static_cast<std::size_t>(value)),
                .bytes = told + sizeof(Digest)};
}

}  // namespace

Task<Result<std::unique_ptr<PressJournal>>> PressJournal::open(Env env, std::string path,
                                                               Digest run) {
  std::unique_ptr<PressJournal> journal(new PressJournal(env, std::move(path)));
  const Buffer header = header_of(run);
  CO_TRY(const bool there, env.disk.exists(journal->path_));
  if (there) {
    CO_TRY(journal->before_, env.disk.map(journal->path_));
    const ByteView file = journal->before_->bytes();
    if (file.size() >= kHeader && std::ranges::equal(file.first(kHeader), header)) {
      journal->read(file);
    }
  }
  const bool goes_on = journal->end_ != 0;
  if (!goes_on) journal->before_.reset();
  const OpenMode mode = goes_on ? OpenMode::kReadWrite : OpenMode::kCreate;
  CO_TRY(journal->file_, co_await env.disk.open(journal->path_, mode));
  if (!goes_on) CO_TRY_VOID(co_await journal->append(header));
  co_return std::move(journal);
}

void PressJournal::read(ByteView file) {
  end_ = kHeader;
  while (const auto record = first_record(file.subspan(static_cast<std::size_t>(end_)))) {
    found_[std::string(as_text(record->key))] = record->value;
    end_ += record->bytes;
  }
}

std::optional<ByteView> PressJournal::find(std::string_view key) const {
  const auto found = found_.find(key);
  return found == found_.end() ? std::nullopt : std::optional(found->second);
}

Result<void> PressJournal::keep(std::string_view key, Buffer value) {
  CHECK(key.size() <= kMostKeyBytes);
  const Buffer record = record_of(key, value);
  const std::lock_guard lock(mutex_);
  if (failed_) return tl::unexpected(*failed_);
  skein::append(waiting_, record);
  return {};
}

Task<Result<void>> PressJournal::append(Buffer records) {
  CO_TRY_VOID(co_await file_->write_at(end_, records));
  CO_TRY_VOID(co_await file_->sync());
  end_ += records.size();
  co_return Result<void>{};
}

Task<void> PressJournal::write() {
  for (;;) {
    Buffer records;
    bool last = false;
    {
      const std::lock_guard lock(mutex_);
      records = std::exchange(waiting_, {});
      last = closed_ || failed_.has_value();
    }
    if (!records.empty()) {
      const Result<void> written = co_await append(std::move(records));
      if (!written) {
        const std::lock_guard lock(mutex_);
        failed_ = written.error();
      }
      continue;
    }
    if (last) co_return;
    co_await env_.clock.sleep_for(kLook);
  }
}

void PressJournal::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
}

Result<void> PressJournal::failure() const {
  const std::lock_guard lock(mutex_);
  if (failed_) return tl::unexpected(*failed_);
  return {};
}

Task<Result<void>> PressJournal::remove() {
  file_.reset();
  co_return co_await env_.disk.remove(path_);
}

}  // namespace skein
