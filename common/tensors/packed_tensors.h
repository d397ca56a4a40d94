// Packed tensors: a safetensors file of weights, deltas or gradients in fewer bytes, byte for byte
// the same when unpacked: header, order and padding included. Pages of 256 KiB are coded each for
// itself (kernels/codecs/elements.h), alone or as the difference from the tensor of the same name
// in a base file that both sides have. The form of the bytes: README.md of this room. Pure; any
// thread: pages may be packed and unpacked at the same time, each thread with its own CodecMemory.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/digest.h"
#include "common/base/result.h"
#include "kernels/codecs/elements.h"
#include "kernels/ops/parallel.h"

namespace skein {

inline constexpr std::uint32_t kPackedPageBytes = 256 * 1024;  // of the file, at most
static_assert(kPackedPageBytes <= kMaxElementBytes);

// A stretch of the file that is coded by itself.
struct PackedPage {
  std::optional<Element> element;     // nullopt: stored as it is
  std::uint64_t at = 0;               // in the file
  std::uint32_t bytes = 0;            // 1 to kPackedPageBytes
  std::optional<std::uint64_t> base;  // where its base stands in the base file
  std::uint32_t packed_bytes = 0;     // from here on known once it is packed
  Digest digest = {};                 // SHA-256 of the stretch
};

struct PackedDirectory {
  std::uint64_t raw_bytes = 0;
  Digest base = {};  // base_digest of the base file; zero: no page has a base
  std::vector<PackedPage> pages;
};

struct NamedFile {
  ByteView bytes;
  std::string_view name;  // for messages
};

// The pages of `file`, not yet packed. `base` empty = none. Errc::kCorrupt for a file that is not
// safetensors. The name of a base: SHA-256 of the SHA-256s of its pieces of 1 MiB.
Result<PackedDirectory> plan_pages(NamedFile file, NamedFile base);
Digest base_digest(ByteView base, Parallel& parallel);

// The packed bytes of one page; fills in what the directory has to know. Unpacks it again to see
// that it does.
Buffer pack_page(ByteView file, ByteView base, PackedPage& page, CodecMemory& memory);
// `packed` is the page's part of the packed file; `out` has page.bytes. Errc::kCorrupt.
Result<void> unpack_page(const PackedPage& page, ByteView packed, ByteView base,
                         CodecMemory& memory, MutableByteView out);

// What stands before the pages; its size follows from their number.
Buffer encode_directory(const PackedDirectory& directory);
std::uint64_t directory_bytes(std::size_t pages);
// Checked: pages follow each other without a gap, in the file as in `packed`. The pages begin at
// directory_bytes(pages.size()). Errc::kCorrupt, kUnsupported.
Result<PackedDirectory> read_directory(NamedFile packed);

}  // namespace skein
