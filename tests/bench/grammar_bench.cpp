// How long a grammar's filter takes a token: grammar_bench VOCABULARY GRAMMAR.gbnf [answers].
// Random tokens of those allowed are taken, up to 256 an answer. Prints the vocabulary's time once,
// and per token the mean, the median, the 99th percentile and the worst, with and without
// remembered states.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

#include "common/grammar/token_filter.h"
#include "common/model/tokenizer.h"

namespace skein {
namespace {

using Steady = std::chrono::steady_clock;

double micros(Steady::time_point from, Steady::time_point to) {
  return std::chrono::duration<double, std::micro>(to - from).count();
}

std::string read(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Every other time one that holds JSON's punctuation, so that strings end and levels come and go.
TokenId pick(TokenMask mask, std::span<const std::string_view> bytes, std::mt19937_64& random) {
  const bool structure = random() % 2 == 0;
  std::vector<TokenId> ids;
  std::vector<TokenId> marks;
  for (TokenId id = 0; id < mask.size() * 64; ++id) {
    if (!holds(mask, id)) continue;
    ids.push_back(id);
    if (bytes[id].find_first_of("\"{}[],:") != std::string_view::npos) marks.push_back(id);
  }
  const std::vector<TokenId>& from = structure && !marks.empty() ? marks : ids;
  return from[random() % from.size()];
}

void report(const char* what, std::vector<double>& times) {
  std::ranges::sort(times);
  double sum = 0;
  for (const double time : times) sum += time;
  std::printf("%-28s tokens %zu  mean %.1f us  median %.1f us  99%% %.1f us  worst %.1f us\n", what,
              times.size(), sum / static_cast<double>(times.size()), times[times.size() / 2],
              times[times.size() * 99 / 100], times.back());
}

int run(const char* vocabulary, const char* grammar_file, int answers) {
  const auto tokenizer = Tokenizer::parse(read(vocabulary));
  const auto began = Steady::now();
  const auto grammar = Grammar::parse(read(grammar_file));
  const auto parsed = Steady::now();
  if (!tokenizer || !grammar) {
    std::printf("%s\n", to_string(tokenizer ? grammar.error() : tokenizer.error()).c_str());
    return 1;
  }
  std::vector<std::string_view> bytes;
  for (TokenId id = 0; id <= (*tokenizer)->largest_id(); ++id) {
    bytes.push_back((*tokenizer)->bytes_of(id));
  }
  const auto listed = Steady::now();
  const auto trie = TokenTrie::make(bytes, kEndOfText);
  std::printf("grammar parsed in %.0f us, vocabulary laid out in %.0f us\n", micros(began, parsed),
              micros(listed, Steady::now()));
  std::vector<double> cold;
  std::vector<double> warm;
  TokenFilter kept(*grammar, trie);
  for (int answer = 0; answer < answers; ++answer) {
    std::mt19937_64 random(static_cast<std::uint64_t>(answer));
    TokenFilter fresh(*grammar, trie);
    kept.restart();
    for (int made = 0; made < 256 && !fresh.is_complete(); ++made) {
      const auto first = Steady::now();
      const auto mask = fresh.allowed();
      const auto second = Steady::now();
      const auto again = kept.allowed();
      const auto third = Steady::now();
      if (!mask || !again) {
        std::printf("%s\n", to_string(mask.error()).c_str());
        return 1;
      }
      cold.push_back(micros(first, second));
      warm.push_back(micros(second, third));
      const TokenId id = pick(*mask, bytes, random);
      if (id == kEndOfText) break;
      if (!fresh.accept(bytes[id]) || !kept.accept(bytes[id])) return 1;
    }
  }
  report("one answer, from nothing", cold);
  report("answers after each other", warm);
  return 0;
}

}  // namespace
}  // namespace skein

int main(int count, char** words) {
  if (count < 3) {
    std::printf("grammar_bench VOCABULARY GRAMMAR.gbnf [answers]\n");
    return 2;
  }
  return skein::run(words[1], words[2], count > 3 ? std::stoi(words[3]) : 100);
}
