// A JSON schema, then, behind a zero byte, bytes that choose a way through its grammar: where it
// may end, the text is JSON.
#include <boost/json.hpp>

#include "common/grammar/grammar_state.h"
#include "common/grammar/json_schema.h"
#include "tests/fuzz/fuzz_target.h"

FUZZ_TARGET(json_schema) {
  using namespace skein;
  if (input.size() > fuzz::kMaxInput) return;
  const std::string_view all = as_text(input);
  const std::size_t end = std::min(all.find('\0'), all.size());
  const auto grammar = grammar_of_schema(all.substr(0, end));
  if (!grammar) return;
  std::string text;
  GrammarState state(*grammar);
  for (const char choice : all.substr(std::min(end + 1, all.size())).substr(0, 400)) {
    // The next byte, from the chosen one upwards, that may follow.
    int byte = static_cast<unsigned char>(choice);
    int tried = 0;
    while (tried < 256 && !state.may_follow(static_cast<unsigned char>(byte))) {
      byte = (byte + 1) % 256;
      ++tried;
    }
    if (tried == 256) break;
    text += static_cast<char>(byte);
    CHECK(state.accept(std::string_view(text).substr(text.size() - 1)).has_value());
  }
  if (!state.may_end()) return;
  boost::system::error_code error;
  boost::json::parse(text, error, {}, {.max_depth = 1000});
  CHECK(!error);
}
