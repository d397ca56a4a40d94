#include "common/checkpoint/internal/zip.h"

#include <algorithm>

#include "common/checkpoint/internal/crc32.h"

namespace skein {
namespace {

constexpr std::uint32_t kEndRecord = 0x06054b50;
constexpr std::uint32_t kEndRecord64 = 0x06064b50;
constexpr std::uint32_t kEndLocator64 = 0x07064b50;
constexpr std::uint32_t kDirectoryEntry = 0x02014b50;
constexpr std::uint32_t kLocalHeader = 0x04034b50;
constexpr std::size_t kEndRecordBytes = 22;
constexpr std::size_t kEndRecord64Bytes = 56;
constexpr std::size_t kEndLocator64Bytes = 20;
constexpr std::size_t kDirectoryEntryBytes = 46;
constexpr std::size_t kLocalHeaderBytes = 30;
constexpr std::size_t kMaxComment = 65535;
constexpr std::uint32_t kIn64 = 0xFFFFFFFFU;  // "look in the zip64 field"

struct Directory {
  std::uint64_t entries = 0;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::uint64_t limit = 0;  // where the end records begin
};

// What the directory says of one entry.
struct Listing {
  std::string_view name;
  std::uint16_t flags = 0;
  std::uint16_t method = 0;
  std::uint32_t crc = 0;
  std::uint64_t stored_bytes = 0;
  std::uint64_t bytes = 0;
  std::uint64_t header_at = 0;
  std::uint64_t end = 0;
};

std::optional<std::size_t> find_end_record(ByteView file) {
  if (file.size() < kEndRecordBytes) return std::nullopt;
  const std::size_t last = file.size() - kEndRecordBytes;
  for (std::size_t comment = 0; comment <= std::min(last, kMaxComment); ++comment) {
    const std::size_t at = last - comment;
    if (load_le<std::uint32_t>(file, at) == kEndRecord &&
        load_le<std::uint16_t>(file, at + 20) == comment) {
      return at;
    }
  }
  return std::nullopt;
}

Result<Directory> find_directory(const Source& source) {
  const ByteView file = source.bytes;
  const auto end = find_end_record(file);
  if (!end) return source.corrupt("the zip directory is missing", "end of the file");
  Directory found{.entries = load_le<std::uint16_t>(file, *end + 10),
                  .offset = load_le<std::uint32_t>(file, *end + 16),
                  .bytes = load_le<std::uint32_t>(file, *end + 12),
                  .limit = *end};
  if (*end >= kEndLocator64Bytes &&
      load_le<std::uint32_t>(file, *end - kEndLocator64Bytes) == kEndLocator64) {
    const auto at = load_le<std::uint64_t>(file, *end - kEndLocator64Bytes + 8);
    if (at > *end - kEndLocator64Bytes || *end - kEndLocator64Bytes - at < kEndRecord64Bytes ||
        load_le<std::uint32_t>(file, at) != kEndRecord64) {
      return source.corrupt("the zip64 end record is not where it should be", at_byte(*end));
    }
    found = {.entries = load_le<std::uint64_t>(file, at + 32),
             .offset = load_le<std::uint64_t>(file, at + 48),
             .bytes = load_le<std::uint64_t>(file, at + 40),
             .limit = at};
  }
  if (found.offset > found.limit || found.bytes > found.limit - found.offset) {
    return source.corrupt("the zip directory lies outside the file", at_byte(*end));
  }
  if (found.entries > kMaxZipEntries || found.entries > found.bytes / kDirectoryEntryBytes) {
    return source.corrupt("the zip directory claims " + std::to_string(found.entries) + " entries",
                          at_byte(*end));
  }
  return found;
}

// Fills in the fields that the 32-bit ones refer to; false = a field is missing.
bool read_zip64_extra(ByteView extra, Listing& listing) {
  std::uint64_t* wanted[] = {&listing.bytes, &listing.stored_bytes, &listing.header_at};
  if (std::ranges::none_of(wanted, [](const auto* field) { return *field == kIn64; })) return true;
  ByteReader reader(extra);
  while (reader.left() != 0) {
    const auto id = reader.read<std::uint16_t>();
    const auto bytes = reader.read<std::uint16_t>();
    if (!id || !bytes) return false;
    const auto body = reader.take(*bytes);
    if (!body) return false;
    if (*id != 1) continue;
    ByteReader fields(*body);
    for (std::uint64_t* field : wanted) {
      if (*field != kIn64) continue;
      const auto value = fields.read<std::uint64_t>();
      if (!value) return false;
      *field = *value;
    }
    return true;
  }
  return false;
}

Result<Listing> read_listing(const Source& source, ByteReader& directory, std::uint64_t base) {
  const std::string place = at_byte(base + directory.at());
  const auto fixed = directory.take(kDirectoryEntryBytes);
  if (!fixed || load_le<std::uint32_t>(*fixed, 0) != kDirectoryEntry) {
    return source.corrupt("the zip directory breaks off", place);
  }
  const auto name = directory.take(load_le<std::uint16_t>(*fixed, 28));
  const auto extra = directory.take(load_le<std::uint16_t>(*fixed, 30));
  const auto comment = directory.take(load_le<std::uint16_t>(*fixed, 32));
  if (!name || !extra || !comment) return source.corrupt("the zip directory breaks off", place);
  Listing listing{.name = as_text(*name),
                  .flags = load_le<std::uint16_t>(*fixed, 8),
                  .method = load_le<std::uint16_t>(*fixed, 10),
                  .crc = load_le<std::uint32_t>(*fixed, 16),
                  .stored_bytes = load_le<std::uint32_t>(*fixed, 20),
                  .bytes = load_le<std::uint32_t>(*fixed, 24),
                  .header_at = load_le<std::uint32_t>(*fixed, 42)};
  if (!read_zip64_extra(*extra, listing)) {
    return source.corrupt("zip entry " + quoted(listing.name) + " lacks its zip64 sizes", place);
  }
  return listing;
}

// The entry's bytes, from its local header on; sets listing.end.
Result<ZipEntry> open_entry(const Source& source, const Directory& directory, Listing& listing) {
  const std::string entry = "zip entry " + quoted(listing.name);
  const std::string place = at_byte(listing.header_at);
  const std::string remedy = "save the model again with torch.save, or repack it with zip -0";
  if ((listing.flags & 1U) != 0) return source.unsupported(entry + " is encrypted", place, remedy);
  if (listing.method != 0) return source.unsupported(entry + " is compressed", place, remedy);
  if (listing.stored_bytes != listing.bytes) {
    return source.corrupt(entry + " is stored but has two sizes", place);
  }
  if (listing.header_at > directory.offset) {
    return source.corrupt(entry + " lies outside the file", place);
  }
  ByteReader reader(source.bytes.first(directory.offset), listing.header_at);
  const auto header = reader.take(kLocalHeaderBytes);
  if (!header || load_le<std::uint32_t>(*header, 0) != kLocalHeader) {
    return source.corrupt(entry + " has no local header", place);
  }
  const auto name = reader.take(load_le<std::uint16_t>(*header, 26));
  const auto extra = reader.take(load_le<std::uint16_t>(*header, 28));
  const auto data = reader.take(listing.bytes);
  if (!name || !extra || !data) return source.corrupt(entry + " is cut short", place);
  if (as_text(*name) != listing.name) {
    return source.corrupt(entry + " has another name in its local header", place);
  }
  listing.end = reader.at();
  return ZipEntry{listing.name, *data};
}

Result<void> refuse_overlaps(const Source& source, std::vector<Listing>& listings) {
  std::ranges::sort(listings, {}, &Listing::header_at);
  for (std::size_t i = 1; i < listings.size(); ++i) {
    if (listings[i].header_at >= listings[i - 1].end) continue;
    return source.corrupt("zip entries " + quoted(listings[i - 1].name) + " and " +
                              quoted(listings[i].name) + " overlap",
                          at_byte(listings[i].header_at));
  }
  return {};
}

}  // namespace

Result<std::vector<ZipEntry>> read_zip(const Source& source, Checksums checksums) {
  TRY(const Directory directory, find_directory(source));
  ByteReader reader(source.bytes.subspan(directory.offset, directory.bytes));
  std::vector<Listing> listings;
  std::vector<ZipEntry> entries;
  listings.reserve(directory.entries);
  entries.reserve(directory.entries);
  std::uint64_t total = 0;
  for (std::uint64_t i = 0; i < directory.entries; ++i) {
    TRY(Listing listing, read_listing(source, reader, directory.offset));
    // Overlapping entries are refused below, but only after their checksums were computed: a
    // directory that names the same gigabyte a thousand times must not cost a thousand passes.
    if (listing.bytes > source.bytes.size() - total) {
      return source.corrupt("the zip entries are together larger than the file",
                            at_byte(directory.offset));
    }
    total += listing.bytes;
    TRY(const ZipEntry entry, open_entry(source, directory, listing));
    if (checksums == Checksums::kVerify && crc32(entry.data) != listing.crc) {
      return source.corrupt("zip entry " + quoted(listing.name) + " does not match its checksum",
                            at_byte(listing.header_at));
    }
    listings.push_back(listing);
    entries.push_back(entry);
  }
  TRY_VOID(refuse_overlaps(source, listings));
  return entries;
}

}  // namespace skein
