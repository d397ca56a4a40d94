// The trie is an array of nodes in breadth-first order, so the children of a node lie side by side,
// sorted by byte: a step is a binary search in one short run.
#include "common/model/tokenizer.h"

#include <algorithm>

#include "common/model/internal/vocabulary.h"

namespace skein {
namespace {

struct Node {
  std::uint32_t first_child = 0;
  std::uint16_t children = 0;
  unsigned char byte = 0;   // that leads here from the parent
  TokenId id = kEndOfText;  // of the token that ends here; kEndOfText = none
};

// The tokens [first, last) of the sorted list share `depth` bytes: the node they meet in.
struct Range {
  std::size_t first;
  std::size_t last;
  std::size_t depth;
};

std::vector<Node> build_trie(const std::vector<const VocabularyToken*>& sorted) {
  std::vector<Node> nodes = {Node{}};
  std::vector<Range> ranges = {{0, sorted.size(), 0}};  // of the node with the same index
  for (std::size_t at = 0; at < nodes.size(); ++at) {
    auto [first, last, depth] = ranges[at];
    // Shorter tokens sort first; of equal ones the line that came last counts.
    for (; first < last && sorted[first]->bytes.size() == depth; ++first) {
      nodes[at].id = sorted[first]->id;
    }
    nodes[at].first_child = static_cast<std::uint32_t>(nodes.size());
    while (first < last) {
      const char byte = sorted[first]->bytes[depth];
      std::size_t end = first;
      while (end < last && sorted[end]->bytes[depth] == byte) ++end;
      nodes.push_back(Node{.byte = static_cast<unsigned char>(byte)});
      ranges.push_back({first, end, depth + 1});
      ++nodes[at].children;
      first = end;
    }
  }
  return nodes;
}

// Equal bytes stay in the order of the file. Most tokens differ in their first eight bytes, which
// are compared as one number.
std::vector<const VocabularyToken*> sorted_by_bytes(const std::vector<VocabularyToken>& tokens) {
  struct Key {
    std::uint64_t front = 0;
    const VocabularyToken* token = nullptr;
  };
  std::vector<Key> keys;
  keys.reserve(tokens.size());
  for (const VocabularyToken& token : tokens) {
    Key key{.token = &token};
    for (std::size_t i = 0; i < sizeof key.front; ++i) {
      const char byte = i < token.bytes.size() ? token.bytes[i] : '\0';
      key.front = key.front << 8 | static_cast<unsigned char>(byte);
    }
    keys.push_back(key);
  }
  std::ranges::sort(keys, [](const Key& a, const Key& b) {
    if (a.front != b.front) return a.front < b.front;
    const int order = a.token->bytes.compare(b.token->bytes);
    return order != 0 ? order < 0 : a.token < b.token;
  });
  std::vector<const VocabularyToken*> sorted;
  sorted.reserve(keys.size());
  for (const Key& key : keys) sorted.push_back(key.token);
  return sorted;
}

}  // namespace

struct Tokenizer::Trie {
  std::vector<Node> nodes;
  struct Place {
    std::uint32_t first = 0;
    std::uint32_t count = 0;
  };
  std::string bytes;          // of all tokens, one behind the other
  std::vector<Place> places;  // by id

  const Node* child(const Node& node, unsigned char byte) const {
    const auto first = nodes.begin() + node.first_child;
    const auto last = first + node.children;
    const auto found =
        std::lower_bound(first, last, byte,
                         [](const Node& each, unsigned char wanted) { return each.byte < wanted; });
    return found != last && found->byte == byte ? &*found : nullptr;
  }

  // The longest token at the front of `text`; kEndOfText when there is none.
  TokenId longest(std::string_view text) const {
    TokenId best = kEndOfText;
    const Node* node = &nodes[0];
    for (const char letter : text) {
      node = child(*node, static_cast<unsigned char>(letter));
      if (node == nullptr) break;
      if (node->id != kEndOfText) best = node->id;
    }
    return best;
  }
};

Tokenizer::Tokenizer() = default;
Tokenizer::~Tokenizer() = default;

Result<std::unique_ptr<Tokenizer>> Tokenizer::parse(std::string_view vocabulary_file) {
  TRY(auto tokens, parse_vocabulary(vocabulary_file));
  const std::vector<const VocabularyToken*> sorted = sorted_by_bytes(tokens);
  std::unique_ptr<Tokenizer> tokenizer(new Tokenizer);
  tokenizer->trie_ = std::make_unique<Trie>();
  Trie& trie = *tokenizer->trie_;
  trie.nodes = build_trie(sorted);
  trie.nodes.shrink_to_fit();
  std::uint32_t largest = 0;
  std::size_t bytes = 0;
  for (const VocabularyToken& token : tokens) {
    largest = std::max(largest, token.id);
    bytes += token.bytes.size();
  }
  trie.places.resize(tokens.empty() ? 0 : std::size_t{largest} + 1);
  trie.bytes.reserve(bytes);
  for (const VocabularyToken& token : tokens) {
    trie.places[token.id] = {static_cast<std::uint32_t>(trie.bytes.size()),
                             static_cast<std::uint32_t>(token.bytes.size())};
    trie.bytes += token.bytes;
  }
  return tokenizer;
}

Result<std::vector<TokenId>> Tokenizer::encode(std::string_view text) const {
  std::vector<TokenId> ids;
  for (std::size_t at = 0; at < text.size();) {
    const TokenId id = trie_->longest(text.substr(at, kMaxTokenBytes));
    if (id == kEndOfText) {
      return fail(Errc::kUnsupported, "no token matches the text", "byte " + std::to_string(at),
                  "use the vocabulary that the model was trained with");
    }
    ids.push_back(id);
    at += trie_->places[id].count;
  }
  return ids;
}

Result<std::string> Tokenizer::decode(std::span<const TokenId> ids) const {
  std::string text;
  for (const TokenId id : ids) {
    if (id != kEndOfText && bytes_of(id).empty()) {
      return fail(Errc::kUsage, "unknown token id " + std::to_string(id), "detokenize",
                  "ids of this vocabulary are 0.." + std::to_string(largest_id()));
    }
    text += bytes_of(id);
  }
  return text;
}

std::string_view Tokenizer::bytes_of(TokenId id) const {
  if (id >= trie_->places.size()) return {};
  const Trie::Place& place = trie_->places[id];
  return std::string_view(trie_->bytes).substr(place.first, place.count);
}

std::uint32_t Tokenizer::largest_id() const {
  return static_cast<std::uint32_t>(trie_->places.size() - 1);
}

}  // namespace skein
