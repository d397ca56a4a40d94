// The vocabulary file: one line a token. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"

namespace skein {

inline constexpr std::size_t kMaxTokenBytes = 1024;

struct VocabularyToken {
  TokenId id = 0;
  std::string bytes;
};

// In file order. Errors as Tokenizer::parse.
Result<std::vector<VocabularyToken>> parse_vocabulary(std::string_view file);

// The bytes of a Python literal: 'text' (UTF-8) or b'bytes', either quote. Errors say what is wrong
// with it.
Result<std::string> parse_python_literal(std::string_view literal);

}  // namespace skein
