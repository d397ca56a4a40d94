// Where a command's input tokens come from: --tokens, --tokens-file or --prompt. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"

namespace skein {

// "1,2,3" or ids separated by white space. `where` names the option or file in messages.
Result<std::vector<TokenId>> parse_token_ids(std::string_view text, std::string_view where);
// Errc::kUsage naming the first id that the vocabulary of `vocab` tokens lacks.
Result<void> check_token_ids(const std::vector<TokenId>& ids, std::uint32_t vocab);

}  // namespace skein
