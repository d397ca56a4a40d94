// GrammarState: a text on its way through a grammar, byte by byte. Its owner's, one thread. Bytes
// may come in any pieces: a character that is cut in two is understood like any other.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "common/base/result.h"
#include "common/grammar/grammar.h"

namespace skein {

// How far a text may lead: rules open within each other (JSON: two a level), and positions in the
// grammar that fit the text at once. What would go further does not follow.
inline constexpr std::uint32_t kMaxGrammarDepth = 1024;
inline constexpr std::size_t kMaxGrammarStacks = 4096;

namespace grammar {
class StateTable;
}

class GrammarState {
 public:
  explicit GrammarState(const Grammar& grammar);
  GrammarState(GrammarState&&) noexcept;
  GrammarState& operator=(GrammarState&&) noexcept;
  ~GrammarState();

  bool may_follow(unsigned char byte);
  bool may_end() const;
  // Whether anything may still follow.
  bool may_go_on() const;
  // Errc::kRefused naming the byte that does not follow, Errc::kUnsupported when a limit is passed;
  // the text then ends before that byte.
  Result<void> accept(std::string_view bytes);

 private:
  std::unique_ptr<grammar::StateTable> table_;
  std::uint32_t state_;
};

}  // namespace skein
