// Tokenizer: the RWKV World tokenizer: greedy longest match over a trie of byte strings.
// Vocabulary file, one token a line: `<id> <python string or bytes literal> <length in bytes>`.
// Id 0 is end of text and stands for no bytes. Immutable; any thread.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/ids.h"
#include "common/base/result.h"

namespace skein {

inline constexpr TokenId kEndOfText = 0;

class Tokenizer {
 public:
  // Errors are Errc::kCorrupt naming the line: bad literal, length that disagrees, id twice, id or
  // token too large (kMaxVocab, 1024 bytes), a byte that no token covers is not an error here.
  static Result<std::unique_ptr<Tokenizer>> parse(std::string_view vocabulary_file);
  ~Tokenizer();

  // Errc::kUnsupported naming the byte offset when no token matches there.
  Result<std::vector<TokenId>> encode(std::string_view text) const;
  // Unknown ids are Errc::kUsage naming the id. Bytes may be partial UTF-8.
  Result<std::string> decode(std::span<const TokenId> ids) const;
  std::string_view bytes_of(TokenId id) const;  // empty for id 0 and unknown ids
  std::uint32_t largest_id() const;

 private:
  Tokenizer();
  struct Trie;
  std::unique_ptr<Trie> trie_;
};

}  // namespace skein
