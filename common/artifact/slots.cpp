// A pointer file, 112 bytes little-endian: magic (8), generation (8), active (32), previous (32,
// zero = none), SHA-256 of the 80 bytes before (32). Generation g stands in slot.<g mod 2>.
#include "common/artifact/slots.h"

#include <algorithm>

#include "common/artifact/internal/layout.h"
#include "common/crypto/sha256.h"

namespace skein {

using namespace internal;

namespace {

constexpr auto kSlotMagic = magic_of("SKSLOT\1\0");
constexpr std::size_t kPointerBytes = 112;

Buffer encode_pointer(const SlotState& state) {
  Buffer bytes = to_buffer(ByteView(kSlotMagic));
  append_le(bytes, state.generation);
  append(bytes, state.active.bytes);
  append(bytes, state.previous.value_or(Digest{}).bytes);
  append(bytes, sha256(bytes).bytes);
  CHECK(bytes.size() == kPointerBytes);
  return bytes;
}

std::optional<SlotState> decode_pointer(ByteView bytes) {
  if (bytes.size() != kPointerBytes ||
      !std::equal(kSlotMagic.begin(), kSlotMagic.end(), bytes.begin()) ||
      sha256(bytes.first(80)) != Digest::from_bytes(bytes.subspan(80))) {
    return std::nullopt;
  }
  SlotState state{.generation = load_le<std::uint64_t>(bytes, 8),
                  .active = load_le<Digest>(bytes, 16),
                  .previous = std::nullopt};
  if (const auto previous = load_le<Digest>(bytes, 48); !previous.is_zero()) {
    state.previous = previous;
  }
  return state;
}

// The manifest, once the store holds all of it; else why it cannot run.
Task<Result<SignedManifest>> find_whole(ChunkStore& store, Digest digest) {
  CO_TRY(SignedManifest stored, co_await store.get_manifest(digest));
  CO_TRY(const Manifest manifest, decode_manifest(stored.bytes));
  CO_TRY(const auto missing, store.missing_from(manifest));
  if (missing.empty()) co_return stored;
  co_return fail(Errc::kNotFound,
                 std::to_string(missing.size()) + " of " + std::to_string(manifest.pages.size()) +
                     " pages of " + digest.short_hex() + " are missing",
                 "page " + std::to_string(missing.front().value()) + " first",
                 "fetch the missing pages");
}

}  // namespace

Slots::Slots(Disk& disk, std::string folder) : disk_(disk), folder_(std::move(folder)) {}

std::string Slots::path_of(std::uint64_t generation) const {
  return join_path(folder_, "slot." + std::to_string(generation % 2));
}

Task<Result<std::vector<SlotState>>> Slots::read_all() {
  std::vector<SlotState> found;
  bool torn = false;
  for (const std::uint64_t parity : {0U, 1U}) {
    const auto bytes = co_await read_file(disk_, path_of(parity), kPointerBytes);
    if (!bytes && bytes.error().code == Errc::kNotFound) continue;
    if (!bytes && bytes.error().code != Errc::kCorrupt) {
      co_return tl::unexpected<Error>(bytes.error());
    }
    const auto state = bytes ? decode_pointer(*bytes) : std::nullopt;
    if (state && state->generation % 2 == parity) {
      found.push_back(*state);
    } else {
      torn = true;
    }
  }
  if (found.empty() && torn) {
    co_return fail(Errc::kCorrupt, "no slot pointer can be read", folder_,
                   "remove the folder and fetch the artifact again");
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.generation > b.generation; });
  co_return found;
}

Task<Result<std::optional<SlotState>>> Slots::load() {
  CO_TRY(const auto found, co_await read_all());
  co_return found.empty() ? std::nullopt : std::optional(found.front());
}

Task<Result<SlotState>> Slots::commit(ChunkStore& store, Digest manifest) {
  CO_TRY_VOID(co_await store.sync());
  CO_TRY_VOID(co_await find_whole(store, manifest));
  CO_TRY(const auto current, co_await load());
  if (current && current->active == manifest) co_return *current;
  SlotState next{.generation = 1, .active = manifest, .previous = std::nullopt};
  if (current) {
    next.generation = current->generation + 1;
    next.previous = current->active;
  }
  CO_TRY_VOID(co_await disk_.make_directories(folder_));
  const Buffer pointer = encode_pointer(next);
  CO_TRY_VOID(co_await replace_file(disk_, path_of(next.generation), pointer));
  co_return next;
}

Task<Result<SlotState>> Slots::roll_back(ChunkStore& store) {
  CO_TRY(const auto current, co_await load());
  if (!current || !current->previous) {
    co_return fail(Errc::kConflict, "there is no previous artifact to go back to", folder_);
  }
  co_return co_await commit(store, *current->previous);
}

Task<Result<std::optional<Digest>>> Slots::bootable(ChunkStore& store) {
  CO_TRY(const auto found, co_await read_all());
  for (const SlotState& state : found) {
    for (const auto& candidate : {std::optional(state.active), state.previous}) {
      if (!candidate) continue;
      const auto whole = co_await find_whole(store, *candidate);
      if (whole) co_return candidate;
      if (!is_damage(whole.error())) co_return tl::unexpected<Error>(whole.error());
    }
  }
  co_return std::optional<Digest>();
}

SlotPages::SlotPages(ChunkStore& store, SignedManifest signed_manifest, Manifest manifest)
    : store_(store),
      signed_(std::move(signed_manifest)),
      digest_(signed_.digest()),
      manifest_(std::move(manifest)),
      mapped_(manifest_.pages.size()) {}

Task<Result<std::unique_ptr<SlotPages>>> SlotPages::open(ChunkStore& store, Digest digest) {
  CO_TRY(SignedManifest stored, co_await find_whole(store, digest));
  CO_TRY(Manifest manifest, decode_manifest(stored.bytes));
  co_return std::unique_ptr<SlotPages>(
      new SlotPages(store, std::move(stored), std::move(manifest)));
}

Result<std::unique_ptr<MappedFile>> SlotPages::map_verified(PageIndex index) {
  const std::size_t i = index.value();
  if (i >= mapped_.size()) {
    return fail(
        Errc::kNotFound,
        "there is no page " + std::to_string(i) + " among " + std::to_string(mapped_.size()),
        digest_.short_hex());
  }
  const PageEntry& entry = manifest_.pages[i];
  const std::string path = store_.page_path(entry.digest);
  TRY(auto file, store_.disk().map(path));
  if (file->bytes().size() != entry.bytes || sha256(file->bytes()) != entry.digest) {
    if (std::find(damaged_.begin(), damaged_.end(), entry.digest) == damaged_.end()) {
      damaged_.push_back(entry.digest);
    }
    return damaged_page(i, digest_, path);
  }
  return file;
}

Result<ByteView> SlotPages::page(PageIndex index) {
  const std::size_t i = index.value();
  if (i >= mapped_.size() || !mapped_[i]) {
    TRY(auto file, map_verified(index));
    mapped_[i] = std::move(file);
  }
  return mapped_[i]->bytes();
}

Result<void> SlotPages::read(PageIndex index, std::uint64_t offset, MutableByteView out) {
  if (index.value() < mapped_.size() && mapped_[index.value()]) {
    return copy_from_page(mapped_[index.value()]->bytes(), index, offset, out);
  }
  TRY(const auto file, map_verified(index));
  return copy_from_page(file->bytes(), index, offset, out);
}

Result<void> SlotPages::verify_all() {
  for (std::uint32_t i = 0; i < mapped_.size(); ++i) TRY_VOID(page(PageIndex(i)));
  return {};
}

}  // namespace skein
