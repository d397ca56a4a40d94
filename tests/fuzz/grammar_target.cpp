// GBNF, then, behind a zero byte, text to read with it.
#include "common/grammar/grammar_state.h"
#include "common/grammar/token_filter.h"
#include "tests/fuzz/fuzz_target.h"

namespace {

using namespace skein;

const std::vector<std::string_view>& vocabulary() {
  static const std::vector<std::string_view> kTokens = {"",   "a",    "ab",   "b",     "\"",
                                                        "{",  "}",    "0",    "12",    " ",
                                                        "\n", "\xC3", "\xA9", "a\xC3", "\xF0\x9F"};
  return kTokens;
}

// What may come next is exactly what is taken.
void compare(const Grammar& grammar, const GrammarState& here, std::string_view before,
             TokenFilter& filter) {
  const auto allowed = filter.allowed();
  if (!allowed) return;
  CHECK(holds(*allowed, 0) == here.may_end());
  for (TokenId id = 1; id < vocabulary().size(); ++id) {
    GrammarState state(grammar);
    CHECK(state.accept(before).has_value());
    CHECK(state.accept(vocabulary()[id]).has_value() == holds(*allowed, id));
  }
}

}  // namespace

FUZZ_TARGET(grammar) {
  if (input.size() > fuzz::kMaxInput) return;
  const std::string_view all = as_text(input);
  const std::size_t end = std::min(all.find('\0'), all.size());
  const auto grammar = Grammar::parse(all.substr(0, end));
  if (!grammar) return;
  static const auto kTrie = TokenTrie::make(vocabulary(), 0);
  const std::string_view text = all.substr(std::min(end + 1, all.size())).substr(0, 64);
  GrammarState state(*grammar);
  TokenFilter filter(*grammar, kTrie);
  for (std::size_t at = 0; at < text.size(); ++at) {
    CHECK(state.may_end() || state.may_go_on());
    if (at % 8 == 0) compare(*grammar, state, text.substr(0, at), filter);
    const bool may = state.may_follow(static_cast<unsigned char>(text[at]));
    const bool taken = state.accept(text.substr(at, 1)).has_value();
    CHECK(may == taken);
    CHECK(filter.accept(text.substr(at, 1)).has_value() == taken);
    if (!taken) return;
  }
  GrammarState whole(*grammar);
  CHECK(whole.accept(text).has_value() && whole.may_end() == state.may_end());
}
