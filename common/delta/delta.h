// Delta: an artifact told as its difference from another. A way to make pages, never a different
// truth: every page made is checked against the target's manifest. Pure over mapped bytes; any
// thread. The patch format: README.md of this room.
#pragma once

#include <memory>
#include <optional>

#include "common/artifact/manifest.h"
#include "common/artifact/page_source.h"
#include "common/base/result.h"

namespace skein {

struct PatchStats {
  std::uint64_t target_bytes = 0;  // all pages of the target
  std::uint64_t patch_bytes = 0;
  std::uint32_t pages = 0;
  std::uint32_t pages_changed = 0;
};

struct Patch {
  Buffer bytes;
  PatchStats stats;
};

// `target_manifest`: the target's manifest with its signature, which the patch carries.
// `coded_file`: SHA-256 of the target's file where its pages are coded, for whoever writes it
// again.
Result<Patch> make_patch(PageSource& base, PageSource& target,
                         const SignedManifest& target_manifest,
                         std::optional<Digest> coded_file = std::nullopt);

// A patch that would make more is refused before a page is made.
inline constexpr std::uint64_t kMaxTargetBytes = 1ULL << 36;

// The target's pages, made from the base and the patch when asked for, each verified. `base` and
// the patch's bytes outlive it. For writing an artifact, not for computing: a page's view is valid
// until the next call, and not aligned.
class PatchedPages : public PageSource {
 public:
  virtual const SignedManifest& signed_manifest() const = 0;
  // Of the target's file; nothing where its pages are plain.
  virtual std::optional<Digest> coded_file() const = 0;
};
// Makes every page once, one at a time, before it answers. Errc::kCorrupt for a damaged patch,
// kConflict when it was made for another base, kOutOfRoom beyond kMaxTargetBytes. `file_name` is
// for messages.
Result<std::unique_ptr<PatchedPages>> apply_patch(PageSource& base, ByteView patch,
                                                  std::string file_name = "patch");

}  // namespace skein
