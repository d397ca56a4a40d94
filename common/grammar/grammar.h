// Grammar: which texts an answer may be, written in GBNF (README.md) or as a JSON schema
// (json_schema.h). Immutable value, cheap to copy; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "common/base/result.h"

namespace skein {

inline constexpr std::size_t kMaxGrammarBytes = 256 * 1024;  // of GBNF text
inline constexpr std::size_t kMaxGrammarRules = 16384;
inline constexpr std::size_t kMaxGrammarNesting = 100;       // groups within groups
inline constexpr std::uint32_t kMaxGrammarRepeats = 16384;   // m and n of {m,n}
inline constexpr std::size_t kMaxGrammarNodes = 256 * 1024;  // everything, repetitions expanded

namespace grammar {
struct Automaton;
}

class Grammar {
 public:
  // Errc::kCorrupt naming line and column: what is not GBNF, an undefined rule, no `root`, a rule
  // that begins with itself, a rule that can never end. Errc::kUnsupported: a limit is passed.
  static Result<Grammar> parse(std::string_view gbnf);

  // The compiled form, for the rest of this room.
  explicit Grammar(std::shared_ptr<const grammar::Automaton> automaton);
  const std::shared_ptr<const grammar::Automaton>& automaton() const { return automaton_; }

 private:
  std::shared_ptr<const grammar::Automaton> automaton_;
};

}  // namespace skein
