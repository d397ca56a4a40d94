// The update journal's bytes: a small JSON text. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "edge_node/update/update_machine.h"

namespace skein {

inline constexpr std::size_t kMaxJournalBytes = 1U << 20;

std::string encode_journal(const UpdateJournal& journal);
Result<UpdateJournal> decode_journal(std::string_view text);  // Errc::kCorrupt

}  // namespace skein
