// What `skein compress --only entropy` does. Private to the room; loop thread.
#pragma once

#include <optional>
#include <string>

#include "common/artifact/artifact_file.h"

namespace skein {

// The artifact at `in` written again with its pages coded or plain, every bit of every page, the
// manifest and its signature kept; signed anew where there is a key. Errc::kUsage for a file that
// is no artifact.
struct Recoding {
  std::string in;
  std::string out;
  PageCoding coding = PageCoding::kCoded;
  std::optional<SigningKey> key;
};
struct Recoded {
  Digest digest;
  std::uint64_t pages = 0;
  std::uint64_t bytes_before = 0;  // of the files
  std::uint64_t bytes_after = 0;
};
Task<Result<Recoded>> recode(Disk& disk, Recoding what);

}  // namespace skein
