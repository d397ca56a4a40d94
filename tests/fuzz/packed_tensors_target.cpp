#include "common/crypto/sha256.h"
#include "common/tensors/packed_tensors.h"
#include "tests/fuzz/fuzz_target.h"

// The input is a packed file whose directory's digest is made right, and its own base.
FUZZ_TARGET(packed_tensors) {
  using namespace skein;
  static CodecMemory memory;
  if (input.size() > fuzz::kMaxInput) return;
  (void)plan_pages({input, "in"}, {});
  Buffer file = to_buffer(input);
  constexpr std::size_t kPagesAt = 16;
  if (file.size() >= directory_bytes(0)) {
    const std::uint64_t end = directory_bytes(load_le<std::uint32_t>(file, kPagesAt));
    if (end <= file.size()) {
      const Digest digest = sha256(ByteView(file).first(end - 32));
      std::memcpy(file.data() + end - 32, digest.bytes.data(), 32);
    }
  }
  const auto directory = read_directory({file, "packed"});
  if (!directory) return;
  std::uint64_t at = directory_bytes(directory->pages.size());
  Buffer out(kPackedPageBytes);
  for (const PackedPage& page : directory->pages) {
    (void)unpack_page(page, ByteView(file).subspan(at, page.packed_bytes), file, memory,
                      MutableByteView(out).first(page.bytes));
    at += page.packed_bytes;
  }
  CHECK(at == file.size());
}
