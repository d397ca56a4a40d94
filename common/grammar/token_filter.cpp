// The vocabulary is walked once down every path of bytes that the grammar allows, in step with the
// grammar's states: tokens that begin alike are looked at together, and where the first byte does
// not fit, none of them is looked at. Inside a JSON string that is nearly all of the vocabulary, so
// masks are kept by state: the next token of the same string finds its mask made.
#include "common/grammar/token_filter.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "common/grammar/internal/state_table.h"

namespace skein {

using grammar::State;
using grammar::StateTable;

namespace {
constexpr std::size_t kMostMasks = 64;  // 8 KiB each with 65,536 tokens
constexpr std::size_t kMostStates = 4096;
constexpr std::size_t kMostPositions = 256 * 1024;
}  // namespace

std::shared_ptr<const TokenTrie> TokenTrie::make(std::span<const std::string_view> bytes,
                                                 TokenId end_of_text) {
  auto trie = std::make_shared<TokenTrie>();
  std::vector<TokenId> sorted(bytes.size());
  std::iota(sorted.begin(), sorted.end(), TokenId{0});
  std::erase_if(sorted, [&](TokenId id) { return bytes[id].empty(); });
  std::ranges::sort(sorted, [&](TokenId a, TokenId b) {
    return bytes[a] != bytes[b] ? bytes[a] < bytes[b] : a < b;
  });
  std::vector<std::uint32_t> open;  // the nodes that lead to the last token
  std::string_view last;
  const auto close_to = [&](std::size_t depth) {
    for (; open.size() > depth; open.pop_back()) {
      trie->nodes_[open.back()].behind = static_cast<std::uint32_t>(trie->nodes_.size());
    }
  };
  for (const TokenId id : sorted) {
    const std::string_view token = bytes[id];
    const auto differ = std::ranges::mismatch(token, last);
    close_to(static_cast<std::size_t>(differ.in1 - token.begin()));
    for (std::size_t depth = open.size(); depth < token.size(); ++depth) {
      open.push_back(static_cast<std::uint32_t>(trie->nodes_.size()));
      trie->nodes_.push_back(Node{.behind = 0,
                                  .first_id = static_cast<std::uint32_t>(trie->ids_.size()),
                                  .depth = static_cast<std::uint16_t>(depth + 1),
                                  .byte = static_cast<unsigned char>(token[depth])});
    }
    trie->ids_.push_back(id);
    trie->longest_ = std::max(trie->longest_, token.size());
    last = token;
  }
  close_to(0);
  trie->nodes_.push_back(Node{.behind = 0,
                              .first_id = static_cast<std::uint32_t>(trie->ids_.size()),
                              .depth = 0,
                              .byte = 0});
  trie->end_of_text_ = end_of_text;
  trie->words_ = (std::max<std::size_t>(bytes.size(), end_of_text + 1U) + 63) / 64;
  return trie;
}

// The masks of the states met last, each in a slot of one pool.
struct TokenFilter::Masks {
  explicit Masks(std::size_t words_) : words(words_) {}

  std::span<std::uint64_t> of_slot(std::size_t slot) {
    return std::span(pool).subspan(slot * words, words);
  }
  std::optional<TokenMask> find(State state) {
    const auto slot = static_cast<std::size_t>(std::ranges::find(states, state) - states.begin());
    if (slot == states.size()) return std::nullopt;
    return of_slot(slot);
  }
  // Where the mask of `state` is to be put, all zeros.
  std::span<std::uint64_t> put(State state) {
    if (states.size() < kMostMasks) {
      next = states.size();
      states.push_back(state);
      pool.resize(pool.size() + words);
    } else {
      next = (next + 1) % kMostMasks;
      states[next] = state;
    }
    const auto mask = of_slot(next);
    std::ranges::fill(mask, 0);
    return mask;
  }
  void clear() {
    states.clear();
    pool.clear();
  }

  std::size_t words;
  std::vector<std::uint64_t> pool;
  std::vector<State> states;  // by slot
  std::size_t next = 0;
};

TokenFilter::TokenFilter(const Grammar& grammar, std::shared_ptr<const TokenTrie> tokens)
    : tokens_(std::move(tokens)),
      table_(std::make_unique<StateTable>(grammar.automaton())),
      masks_(std::make_unique<Masks>(tokens_->words_)),
      state_(table_->start()),
      path_(tokens_->longest_ + 1) {}
TokenFilter::TokenFilter(TokenFilter&&) noexcept = default;
TokenFilter& TokenFilter::operator=(TokenFilter&&) noexcept = default;
TokenFilter::~TokenFilter() = default;

void TokenFilter::restart() { state_ = table_->start(); }

bool TokenFilter::is_complete() const { return !table_->may_go_on(state_); }

void TokenFilter::make_room() {
  if (table_->states() <= kMostStates && table_->positions() <= kMostPositions) return;
  state_ = table_->shrink(state_);
  masks_->clear();
}

Result<TokenMask> TokenFilter::allowed() {
  if (const auto known = masks_->find(state_)) return *known;
  make_room();
  const std::span<std::uint64_t> mask = masks_->put(state_);
  if (const Result<void> filled = fill(mask); !filled) {
    masks_->clear();
    return tl::unexpected<Error>(filled.error());
  }
  return mask;
}

Result<void> TokenFilter::fill(std::span<std::uint64_t> mask) {
  const std::uint64_t most_work = table_->work() + kMaxFilterWork;
  const auto allow = [&mask](TokenId id) { mask[id / 64] |= std::uint64_t{1} << (id % 64); };
  const TokenTrie::Node* const nodes = tokens_->nodes_.data();
  const std::size_t end = tokens_->nodes_.size() - 1;
  State cut = StateTable::kDead;  // what last kept a token out for a limit's sake
  path_[0] = state_;
  for (std::size_t at = 0; at < end;) {
    const TokenTrie::Node& node = nodes[at];
    const State next = table_->next(path_[node.depth - 1U], node.byte);
    if (!StateTable::is_state(next)) {
      if (next != StateTable::kDead) cut = next;
      at = node.behind;
      continue;
    }
    path_[node.depth] = next;
    for (std::uint32_t i = node.first_id; i < nodes[at + 1].first_id; ++i) allow(tokens_->ids_[i]);
    ++at;
    if (table_->work() > most_work) {
      return fail(Errc::kUnsupported, "the grammar is too ambiguous to find the tokens that fit",
                  "grammar", "use one in which fewer alternatives begin alike");
    }
  }
  const auto nothing_allowed = [&mask] {
    return std::ranges::all_of(mask, [](std::uint64_t word) { return word == 0; });
  };
  // The end of text only because of the grammar's own ambiguity would be no answer.
  if (cut == StateTable::kStacks && nothing_allowed()) return grammar::refusal(cut, 0);
  if (table_->may_end(state_)) allow(tokens_->end_of_text_);
  if (nothing_allowed()) {
    if (cut != StateTable::kDead) return grammar::refusal(cut, 0);
    return fail(Errc::kUnsupported, "no token of the vocabulary fits what the grammar wants next",
                "grammar", "use a grammar whose text this model can write");
  }
  return {};
}

Result<void> TokenFilter::accept(std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const State next = table_->next(state_, static_cast<unsigned char>(bytes[i]));
    if (!StateTable::is_state(next)) return grammar::refusal(next, i);
    state_ = next;
  }
  return {};
}

}  // namespace skein
