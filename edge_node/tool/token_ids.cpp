#include "edge_node/tool/token_ids.h"

#include <charconv>

namespace skein {

Result<std::vector<TokenId>> parse_token_ids(std::string_view text, std::string_view where) {
  constexpr std::string_view kBetween = ", \t\r\n";
  std::vector<TokenId> ids;
  std::size_t at = text.find_first_not_of(kBetween);
  while (at != std::string_view::npos) {
    const std::size_t end = std::min(text.find_first_of(kBetween, at), text.size());
    const std::string_view word = text.substr(at, end - at);
    TokenId id = 0;
    const auto [stop, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc{} || stop != word.data() + word.size()) {
      return fail(Errc::kUsage, "'" + std::string(word) + "' is not a token id", std::string(where),
                  "write ids as numbers separated by commas");
    }
    ids.push_back(id);
    at = text.find_first_not_of(kBetween, end);
  }
  if (ids.empty()) {
    return fail(Errc::kUsage, "there are no token ids", std::string(where), "give at least one");
  }
  return ids;
}

Result<void> check_token_ids(const std::vector<TokenId>& ids, std::uint32_t vocab) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= vocab) {
      return fail(Errc::kUsage, "token id " + std::to_string(ids[i]) + " is not in the vocabulary",
                  "token " + std::to_string(i), "ids go from 0 to " + std::to_string(vocab - 1));
    }
  }
  return {};
}

}  // namespace skein
