// ScreenedHead: what a head costs whose screen is held: tiles of it are read as they are wanted.
// Pure; lives while a plan is made.
#pragma once

#include "edge_node/paging/residency_plan.h"

namespace skein::paging {

// Bytes that a page takes in the file.
std::uint32_t stored_bytes_of(const Manifest& manifest, const ResidencyRequest& request,
                              std::uint32_t page);
// It stands there as it is in memory.
bool is_plain(const Manifest& manifest, const ResidencyRequest& request, std::uint32_t page);

class ScreenedHead {
 public:
  ScreenedHead(const Manifest& manifest, const ResidencyRequest& request)
      : manifest_(manifest), request_(request), head_(find_tensor(manifest, "head.weight")) {}

  // There is a head, and a screen.
  bool is_there() const;
  // Of a page that is not in memory, for a token, as is to be expected.
  double share_read(std::uint32_t page) const;
  // Where tiles arrive: two halves, each of which holds a tile, or a page where they are coded;
  // little beside the head.
  std::uint64_t buffer_bytes() const;
  std::uint64_t table_bytes() const;  // beside the buffer

 private:
  const Manifest& manifest_;
  const ResidencyRequest& request_;
  const TensorEntry* head_;
};

}  // namespace skein::paging
