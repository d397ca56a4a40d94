// Whether a text is one that a grammar describes, read in several ways. For tests; one thread.
#pragma once

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>

#include "common/grammar/grammar_state.h"

namespace skein::test {

inline Grammar grammar_of(std::string_view gbnf) {
  auto grammar = Grammar::parse(gbnf);
  EXPECT_TRUE(grammar) << to_string(grammar.error()) << "\n" << gbnf;
  return grammar ? *grammar : Grammar::parse("root ::= \"\"").value();
}

inline bool fits_in_pieces(const Grammar& grammar, std::string_view text, std::uint64_t seed) {
  GrammarState state(grammar);
  std::mt19937_64 random(seed);
  while (!text.empty()) {
    const std::size_t piece = seed == 0 ? 1 : 1 + random() % text.size();
    // What may follow and what is accepted are the same.
    const bool may = state.may_follow(static_cast<unsigned char>(text[0]));
    const bool accepted = state.accept(text.substr(0, piece)).has_value();
    EXPECT_TRUE(may || !accepted);
    if (!accepted) return false;
    text.remove_prefix(piece);
  }
  EXPECT_TRUE(state.may_end() || state.may_go_on());
  return state.may_end();
}

// Byte by byte, whole, and in random pieces: always the same.
inline bool fits(const Grammar& grammar, std::string_view text) {
  const bool by_bytes = fits_in_pieces(grammar, text, 0);
  for (std::uint64_t seed = 1; seed < 6; ++seed) {
    EXPECT_EQ(fits_in_pieces(grammar, text, seed), by_bytes) << text << " in pieces, seed " << seed;
  }
  GrammarState state(grammar);
  EXPECT_EQ(state.accept(text).has_value() && state.may_end(), by_bytes) << text;
  return by_bytes;
}

}  // namespace skein::test
