// Rules to nodes: each expression is built between two nodes, `from` and `to`. Only `from` and
// nodes made on the way get edges, so the end of a rule never has any, and a call that leads
// straight to it is a tail call: lists written as rules that end with themselves do not pile up a
// stack.
//
// What is repeated a counted number of times is one rule of its own, called that often, unless it
// is a single step: {m,n} costs n nodes, not n copies.
#include <algorithm>
#include <map>

#include "common/grammar/grammar.h"
#include "common/grammar/internal/automaton.h"
#include "common/grammar/internal/automaton_check.h"
#include "common/grammar/internal/utf8_blocks.h"

namespace skein::grammar {
namespace {

constexpr NodeId kNowhere = 0xFFFFFFFF;

// One byte or one call: cheaper to write again than to call.
bool is_single_step(const Expression& part) {
  switch (part.kind) {
    case Expression::Kind::kText:
      return part.text.size() <= 1;
    case Expression::Kind::kClass:
      return part.ranges.size() <= 2 && part.ranges.back().last < 0x80;
    case Expression::Kind::kRule:
      return true;
    default:
      return false;
  }
}

class Compiler {
 public:
  explicit Compiler(const RuleSet& rules)
      : rules_(rules), ends_(rules.rules.size(), {kNowhere, kNowhere}) {}

  Result<std::shared_ptr<const Automaton>> run(std::uint32_t root) {
    const NodeId start = ends_of(root).entry;
    while (!waiting_.empty() && !too_large_) {
      const Waiting next = waiting_.back();
      waiting_.pop_back();
      rule_ = next.rule;
      build(*next.body, next.ends.entry, next.ends.exit);
    }
    if (too_large_) {
      return fail(Errc::kUnsupported,
                  "the grammar is too large: more than " + std::to_string(kMaxGrammarNodes) +
                      " steps with its repetitions written out",
                  "grammar", "use fewer rules or smaller repetitions");
    }
    auto automaton = std::make_shared<Automaton>();
    automaton->start = start;
    lay_out(*automaton);
    if (const auto rule = find_left_recursion(*automaton)) {
      return refuse(*rule, " begins with itself",
                    "put what is repeated first: a ::= b a | b, not a ::= a b");
    }
    if (const auto rule = find_endless(*automaton)) {
      return refuse(*rule, " can never end", "give it an alternative that does not need itself");
    }
    return automaton;
  }

 private:
  struct Ends {
    NodeId entry;
    NodeId exit;
  };
  struct Waiting {
    const Expression* body;
    std::uint32_t rule;
    Ends ends;
  };
  struct PendingEdge {
    NodeId from;
    unsigned char first, last;
    NodeId to;
  };
  struct PendingLink {
    NodeId from;
    Link link;
  };

  tl::unexpected<Error> refuse(std::uint32_t rule, std::string_view what, std::string remedy) {
    const Rule& named = rules_.rules[rule];
    return fail(Errc::kCorrupt, "the rule \"" + named.name + "\"" + std::string(what),
                named.where.empty() ? "grammar" : named.where, std::move(remedy));
  }

  NodeId new_node() {
    if (owners_.size() == kMaxGrammarNodes) {
      too_large_ = true;
      return 0;
    }
    owners_.push_back(rule_);
    ends_rule_.push_back(false);
    return static_cast<NodeId>(owners_.size()) - 1;
  }
  Ends new_ends() {
    const Ends ends{new_node(), new_node()};
    ends_rule_[ends.exit] = true;
    return ends;
  }
  // Of a rule, which is built later.
  Ends ends_of(std::uint32_t rule) {
    if (ends_[rule].entry == kNowhere) {
      const std::uint32_t caller = std::exchange(rule_, rule);
      ends_[rule] = new_ends();
      waiting_.push_back({&rules_.rules[rule].body, rule, ends_[rule]});
      rule_ = caller;
    }
    return ends_[rule];
  }

  void go_on(NodeId from, NodeId to) { links_.push_back({from, {to, kNoBack}}); }
  void call(NodeId from, NodeId entry, NodeId back) {
    links_.push_back({from, {entry, ends_rule_[back] ? kTailCall : back}});
  }

  void build(const Expression& part, NodeId from, NodeId to) {
    if (too_large_) return;
    switch (part.kind) {
      case Expression::Kind::kText:
        return build_text(part.text, from, to);
      case Expression::Kind::kClass:
        return build_class(part.ranges, from, to);
      case Expression::Kind::kSequence:
        return build_sequence(part.parts, from, to);
      case Expression::Kind::kChoice:
        return build_choice(part.parts, from, to);
      case Expression::Kind::kRepeat:
        return build_repeat(part, from, to);
      case Expression::Kind::kRule:
        return call(from, ends_of(part.rule).entry, to);
    }
  }

  void build_text(const std::string& text, NodeId from, NodeId to) {
    if (text.empty()) return go_on(from, to);
    for (std::size_t i = 0; i < text.size(); ++i) {
      const NodeId next = i + 1 == text.size() ? to : new_node();
      const auto byte = static_cast<unsigned char>(text[i]);
      edges_.push_back({from, byte, byte, next});
      from = next;
    }
  }

  // Texts that begin alike share nodes: a list of thousands of words is one way to read, not
  // thousands.
  void build_choice(const std::vector<Expression>& parts, NodeId from, NodeId to) {
    std::map<std::pair<NodeId, unsigned char>, NodeId> beginnings;
    for (const Expression& part : parts) {
      if (part.kind != Expression::Kind::kText || part.text.empty()) {
        build(part, from, to);
        continue;
      }
      NodeId at = from;
      for (const char letter : std::string_view(part.text).substr(0, part.text.size() - 1)) {
        const auto byte = static_cast<unsigned char>(letter);
        const auto [known, is_new] = beginnings.try_emplace({at, byte}, kNowhere);
        if (is_new) {
          known->second = new_node();
          edges_.push_back({at, byte, byte, known->second});
        }
        at = known->second;
      }
      const auto last = static_cast<unsigned char>(part.text.back());
      edges_.push_back({at, last, last, to});
    }
  }

  void build_class(const std::vector<CodeRange>& ranges, NodeId from, NodeId to) {
    std::map<std::uint64_t, NodeId> tails;  // blocks that end alike share their last nodes
    for (const CodeRange& range : ranges) {
      for (const Utf8Block& block : utf8_blocks(range)) {
        NodeId next = to;
        std::uint64_t tail = 0;
        for (std::size_t i = block.length - 1; i > 0; --i) {
          tail = tail << 16 | std::uint64_t{block.bytes[i].first} << 8 | block.bytes[i].last;
          const auto [known, is_new] = tails.try_emplace(tail, kNowhere);
          if (is_new) {
            known->second = new_node();
            edges_.push_back({known->second, block.bytes[i].first, block.bytes[i].last, next});
          }
          next = known->second;
        }
        edges_.push_back({from, block.bytes[0].first, block.bytes[0].last, next});
      }
    }
  }

  void build_sequence(const std::vector<Expression>& parts, NodeId from, NodeId to) {
    if (parts.empty()) return go_on(from, to);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const NodeId next = i + 1 == parts.size() ? to : new_node();
      build(parts[i], from, next);
      from = next;
    }
  }

  void build_repeat(const Expression& repeat, NodeId from, NodeId to) {
    const Expression& body = repeat.parts.front();
    const bool endless = repeat.most == kUnbounded;
    const std::uint32_t counted = endless ? std::max(repeat.least, 1U) : repeat.most;
    if (counted == 0) return go_on(from, to);
    const bool inlined = counted == 1 || is_single_step(body);
    const Ends own = inlined ? Ends{kNowhere, kNowhere} : new_ends();
    if (!inlined) waiting_.push_back({&body, rule_, own});
    const auto once = [&](NodeId begin, NodeId end) {
      if (inlined) return build(body, begin, end);
      call(begin, own.entry, end);
    };
    // A node of its own keeps a loop from whatever else begins at `from`.
    NodeId at = new_node();
    go_on(from, at);
    if (endless && repeat.least == 0) {
      go_on(at, to);
      return once(at, at);
    }
    for (std::uint32_t i = 0; i < counted && !too_large_; ++i) {
      if (i >= repeat.least) go_on(at, to);
      const NodeId next = new_node();
      once(at, next);
      if (endless && i + 1 == counted) go_on(next, at);
      at = next;
    }
    go_on(at, to);
  }

  void lay_out(Automaton& automaton) const;

  const RuleSet& rules_;
  std::vector<Ends> ends_;  // by rule
  std::vector<Waiting> waiting_;
  std::uint32_t rule_ = 0;             // being built
  std::vector<std::uint32_t> owners_;  // by node
  std::vector<bool> ends_rule_;        // by node
  std::vector<PendingEdge> edges_;
  std::vector<PendingLink> links_;
  bool too_large_ = false;
};

// Puts what leaves each node side by side, and tells bytes apart only where an edge does.
void Compiler::lay_out(Automaton& automaton) const {
  std::array<bool, 257> begins{};
  for (const PendingEdge& edge : edges_) {
    begins[edge.first] = true;
    begins[edge.last + 1U] = true;
  }
  std::uint32_t last_class = 0;
  for (std::size_t byte = 0; byte < 256; ++byte) {
    if (byte > 0 && begins[byte]) ++last_class;
    automaton.class_of[byte] = static_cast<std::uint8_t>(last_class);
  }
  automaton.classes = last_class + 1;
  automaton.nodes.resize(owners_.size() + 1);
  for (const PendingEdge& edge : edges_) ++automaton.nodes[edge.from + 1].first_edge;
  for (const PendingLink& link : links_) ++automaton.nodes[link.from + 1].first_link;
  for (std::size_t i = 0; i < owners_.size(); ++i) {
    automaton.nodes[i].rule = owners_[i];
    automaton.nodes[i].ends_rule = ends_rule_[i];
    automaton.nodes[i + 1].first_edge += automaton.nodes[i].first_edge;
    automaton.nodes[i + 1].first_link += automaton.nodes[i].first_link;
  }
  std::vector<Automaton::Node> next(automaton.nodes);
  automaton.edges.resize(edges_.size());
  for (const PendingEdge& edge : edges_) {
    automaton.edges[next[edge.from].first_edge++] = {automaton.class_of[edge.first],
                                                     automaton.class_of[edge.last], edge.to};
  }
  automaton.links.resize(links_.size());
  for (const PendingLink& link : links_) {
    automaton.links[next[link.from].first_link++] = link.link;
  }
}

}  // namespace

Result<std::shared_ptr<const Automaton>> compile(const RuleSet& rules, std::uint32_t root) {
  return Compiler(rules).run(root);
}

}  // namespace skein::grammar
