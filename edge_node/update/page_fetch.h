// Pages from the coordinator, by hash. Loop thread.
#pragma once

#include <optional>

#include "common/artifact/manifest.h"
#include "common/coding/page_coding.h"
#include "common/wire/messages.h"
#include "edge_node/link/uplink.h"

namespace skein {

inline constexpr Duration kFetchIdleLimit = std::chrono::seconds(20);  // between two parts

// The payload of a part becomes the page; Errc::kCorrupt where it cannot be. Its hash is not looked
// at. `coder` is made at the first page that comes coded.
Result<void> unpack_page(std::optional<PageCoder>& coder, const PagePart& part,
                         const PageEntry& entry, Buffer& payload);

// One page, compared with its hash. Errc::kUnavailable, kDeadline, kCorrupt; kNotFound when the
// coordinator does not have it. `uplink` outlives the task.
Task<Result<Buffer>> fetch_page(Uplink& uplink, PageEntry entry);

}  // namespace skein
