// Zip: the container of torch.save, read in place. Only stored entries (torch.save never
// compresses); zip64; the central directory is the truth, local headers must agree with it; entries
// may not overlap; checksums are verified. Pure; any thread.
#pragma once

#include <string_view>
#include <vector>

#include "common/checkpoint/internal/source.h"

namespace skein {

inline constexpr std::uint64_t kMaxZipEntries = 1U << 17;

struct ZipEntry {
  std::string_view name;
  ByteView data;
};
// kIgnore is for fuzzing alone: no mutation survives a checksum.
enum class Checksums : std::uint8_t { kVerify, kIgnore };
Result<std::vector<ZipEntry>> read_zip(const Source& source,
                                       Checksums checksums = Checksums::kVerify);

}  // namespace skein
