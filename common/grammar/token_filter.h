// TokenFilter: which tokens of a vocabulary may come next under a grammar. TokenTrie is the
// vocabulary laid out for it, made once and shared: immutable, any thread. A TokenFilter is one
// answer's; one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/grammar/grammar.h"

namespace skein {

namespace grammar {
class StateTable;
}

// What one call of allowed() may spend, in positions looked at: a fraction of a second.
inline constexpr std::uint64_t kMaxFilterWork = 8'000'000;

class TokenTrie {
 public:
  // bytes[id] are those of token id, as many as there are; an empty one is no token. `end_of_text`
  // stands for no bytes: it may come when the grammar may end.
  static std::shared_ptr<const TokenTrie> make(std::span<const std::string_view> bytes,
                                               TokenId end_of_text);

 private:
  friend class TokenFilter;
  // In the order of a walk that goes down first: a node's children begin right behind it, and
  // `behind` is where the walk goes on if none of them is wanted.
  struct Node {
    std::uint32_t behind;
    std::uint32_t first_id;  // of the tokens that end here, in ids_: up to the next node's
    std::uint16_t depth;     // bytes up to here
    unsigned char byte;      // the last of them
  };
  std::vector<Node> nodes_;  // and one behind the last
  std::vector<TokenId> ids_;
  TokenId end_of_text_ = 0;
  std::size_t longest_ = 0;  // token, in bytes
  std::size_t words_ = 0;    // of a mask
};

class TokenFilter {
 public:
  TokenFilter(const Grammar& grammar, std::shared_ptr<const TokenTrie> tokens);
  TokenFilter(TokenFilter&&) noexcept;
  TokenFilter& operator=(TokenFilter&&) noexcept;
  ~TokenFilter();

  // At least one token; valid until the next call. Errc::kUnsupported when no token of the
  // vocabulary may follow, or when the grammar is too ambiguous to tell in reasonable time.
  Result<TokenMask> allowed();
  // Goes on with a token, given by its bytes; the end of text has none. Errors as GrammarState's.
  Result<void> accept(std::string_view bytes);
  // Whether only the end of text may still come.
  bool is_complete() const;
  // For the next answer under the same grammar; what was learned stays.
  void restart();

 private:
  struct Masks;
  void make_room();
  Result<void> fill(std::span<std::uint64_t> mask);

  std::shared_ptr<const TokenTrie> tokens_;
  std::unique_ptr<grammar::StateTable> table_;
  std::unique_ptr<Masks> masks_;
  std::uint32_t state_;
  std::vector<std::uint32_t> path_;  // of a walk: the state after each byte
};

}  // namespace skein
