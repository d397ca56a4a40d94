#include "edge_node/generate/token_picker.h"

#include <algorithm>
#include <vector>

namespace skein {

std::shared_ptr<const TokenTrie> trie_of(const Tokenizer& tokenizer, std::uint32_t vocab) {
  std::vector<std::string_view> bytes(std::min(vocab, tokenizer.largest_id() + 1));
  for (TokenId id = 0; id < bytes.size(); ++id) bytes[id] = tokenizer.bytes_of(id);
  return TokenTrie::make(bytes, kEndOfText);
}

TokenPicker::TokenPicker(const SamplerOptions& sampler, const Constraint& constraint)
    : sampler_(sampler),
      filter_(TokenFilter(constraint.grammar, constraint.tokens)),
      tokenizer_(constraint.tokenizer) {}

void TokenPicker::fed(std::span<const TokenId> ids) {
  const bool own_first = picked_ && !ids.empty() && ids.front() == *picked_;
  picked_.reset();
  sampler_.read(own_first ? ids.subspan(1) : ids);
}

Result<TokenId> TokenPicker::pick(std::span<const float> logits) {
  TokenMask allowed;
  if (filter_) {
    TRY(allowed, filter_->allowed());
  }
  const TokenId picked = sampler_.pick(logits, allowed);
  if (filter_) TRY_VOID(filter_->accept(tokenizer_->bytes_of(picked)));
  picked_ = picked;
  return picked;
}

void TokenPicker::restart() {
  if (filter_) filter_->restart();
}

}  // namespace skein
