// TokenPicker: what a session picks its tokens with: a sampler and, where the answer has to follow
// a grammar, the filter of what may come next. One session's; one thread at a time.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "common/grammar/token_filter.h"
#include "common/model/sampler.h"
#include "common/model/tokenizer.h"

namespace skein {

// The tokens below `vocab` that have bytes, laid out once for a model; any thread.
std::shared_ptr<const TokenTrie> trie_of(const Tokenizer& tokenizer, std::uint32_t vocab);

// What an answer must follow. The tokenizer outlives the picker.
struct Constraint {
  Grammar grammar;
  std::shared_ptr<const TokenTrie> tokens;
  const Tokenizer* tokenizer;
};

class TokenPicker {
 public:
  TokenPicker(const SamplerOptions& sampler = {}) : sampler_(sampler) {}  // any text will do
  TokenPicker(const SamplerOptions& sampler, const Constraint& constraint);

  // What the session is fed: the token picked last, then what it did not pick itself.
  void fed(std::span<const TokenId> ids);
  // kEndOfText when the answer may end and that was picked. Errors as TokenFilter's.
  Result<TokenId> pick(std::span<const float> logits);
  // Of the logits that pick() takes: as Feed::most has it.
  std::uint32_t most() const { return filter_ ? 0 : sampler_.most(); }
  // Whether nothing but the end of text may follow.
  bool is_complete() const { return filter_ && filter_->is_complete(); }
  // The next answer follows the grammar from its beginning.
  void restart();

 private:
  Sampler sampler_;
  std::optional<TokenFilter> filter_;
  const Tokenizer* tokenizer_ = nullptr;
  std::optional<TokenId> picked_;  // not yet fed
};

}  // namespace skein
