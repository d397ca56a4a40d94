// Automaton: a grammar compiled to bytes. Immutable; any thread. Private to the room.
//
// Every rule is a small graph of nodes. An edge reads one byte of a range; a link reads nothing: it
// goes on (to), or it calls the rule that begins at `to` and comes back to `back`. A position in
// the grammar is a node and the stack of `back` nodes that still wait; StateTable walks them.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/base/result.h"
#include "common/grammar/internal/expression.h"

namespace skein::grammar {

using NodeId = std::uint32_t;

// Bytes that no edge tells apart are one class: states keep a row of classes, not of bytes.
struct Edge {
  std::uint8_t first;  // of byte classes
  std::uint8_t last;
  NodeId to;
};

inline constexpr NodeId kNoBack = 0xFFFFFFFF;    // not a call
inline constexpr NodeId kTailCall = 0xFFFFFFFE;  // a call that has nothing left to do here
struct Link {
  NodeId to;
  NodeId back;
};

struct Automaton {
  struct Node {
    std::uint32_t first_edge;  // up to the next node's
    std::uint32_t first_link;
    std::uint32_t rule;
    bool ends_rule;
  };
  std::vector<Node> nodes;  // and one behind the last
  std::vector<Edge> edges;
  std::vector<Link> links;
  std::array<std::uint8_t, 256> class_of{};
  std::uint32_t classes = 0;
  NodeId start = 0;

  std::uint32_t size() const { return static_cast<std::uint32_t>(nodes.size()) - 1; }
  std::span<const Edge> edges_of(NodeId node) const {
    return {edges.data() + nodes[node].first_edge, edges.data() + nodes[node + 1].first_edge};
  }
  std::span<const Link> links_of(NodeId node) const {
    return {links.data() + nodes[node].first_link, links.data() + nodes[node + 1].first_link};
  }
};

// What `root` reaches of the rules; all of it is defined. Errors name the rule and where it stands:
// it begins with itself, it can never end, or (Errc::kUnsupported) it is too large expanded.
Result<std::shared_ptr<const Automaton>> compile(const RuleSet& rules, std::uint32_t root);

}  // namespace skein::grammar
