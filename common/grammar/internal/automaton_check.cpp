#include "common/grammar/internal/automaton_check.h"

#include <algorithm>

namespace skein::grammar {
namespace {

// Which nodes reach the end of their rule: all that do, or those that do without reading a byte. A
// node has reasons to; a reason holds once everything it waits for holds: the node behind an edge
// or a link; for a call, the called rule's beginning and the node it comes back to.
class EndReach {
 public:
  EndReach(const Automaton& automaton, bool by_bytes)
      : waiting_for_(automaton.size(), kNone), reaches_(automaton.size(), false) {
    for (NodeId node = 0; node < automaton.size(); ++node) add_reasons(automaton, by_bytes, node);
    for (NodeId node = 0; node < automaton.size(); ++node) {
      if (automaton.nodes[node].ends_rule) hold(node);
    }
    while (!fresh_.empty()) {
      const NodeId node = fresh_.back();
      fresh_.pop_back();
      for (auto wait = waiting_for_[node]; wait != kNone; wait = waits_[wait].next) {
        Reason& reason = reasons_[waits_[wait].reason];
        if (--reason.missing == 0) hold(reason.node);
      }
    }
  }
  const std::vector<bool>& nodes() const { return reaches_; }

 private:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;
  struct Reason {
    NodeId node;
    std::uint32_t missing;
  };
  struct Wait {
    std::uint32_t reason;
    std::uint32_t next;  // of those that wait for the same node
  };

  void add_reasons(const Automaton& automaton, bool by_bytes, NodeId node) {
    if (by_bytes) {
      for (const Edge& edge : automaton.edges_of(node)) add_reason(node, {&edge.to, 1});
    }
    for (const Link& link : automaton.links_of(node)) {
      const NodeId both[] = {link.to, link.back};
      const bool comes_back = link.back != kNoBack && link.back != kTailCall;
      add_reason(node, std::span(both).first(comes_back ? 2 : 1));
    }
  }
  void add_reason(NodeId node, std::span<const NodeId> needed) {
    const auto reason = static_cast<std::uint32_t>(reasons_.size());
    reasons_.push_back({node, static_cast<std::uint32_t>(needed.size())});
    for (const NodeId each : needed) {
      waits_.push_back({reason, waiting_for_[each]});
      waiting_for_[each] = static_cast<std::uint32_t>(waits_.size()) - 1;
    }
  }
  void hold(NodeId node) {
    if (reaches_[node]) return;
    reaches_[node] = true;
    fresh_.push_back(node);
  }

  std::vector<Reason> reasons_;
  std::vector<Wait> waits_;
  std::vector<std::uint32_t> waiting_for_;  // by node: the first wait
  std::vector<bool> reaches_;
  std::vector<NodeId> fresh_;
};

// The rules that may be called before a byte is read, from the beginning of one rule; the calls
// themselves are not followed. Rules are told by their first node.
std::vector<NodeId> first_calls(const Automaton& automaton, const std::vector<bool>& may_be_empty,
                                NodeId entry, std::vector<NodeId>& seen_from) {
  std::vector<NodeId> calls;
  std::vector<NodeId> todo = {entry};
  const auto visit = [&](NodeId node) {
    if (seen_from[node] == entry) return;
    seen_from[node] = entry;
    todo.push_back(node);
  };
  while (!todo.empty()) {
    const NodeId node = todo.back();
    todo.pop_back();
    for (const Link& link : automaton.links_of(node)) {
      if (link.back == kNoBack) {
        visit(link.to);
        continue;
      }
      calls.push_back(link.to);
      if (link.back != kTailCall && may_be_empty[link.to]) visit(link.back);
    }
  }
  return calls;
}

}  // namespace

std::optional<std::uint32_t> find_endless(const Automaton& automaton) {
  const EndReach reach(automaton, true);
  std::optional<std::uint32_t> endless;
  for (NodeId node = 0; node < automaton.size(); ++node) {
    if (!reach.nodes()[node]) endless = std::max(endless, {automaton.nodes[node].rule});
  }
  return endless;
}

std::optional<std::uint32_t> find_left_recursion(const Automaton& automaton) {
  const EndReach empty(automaton, false);
  std::vector<NodeId> seen_from(automaton.size(), kNoBack);
  enum class Mark : unsigned char { kNew, kOpen, kDone };
  std::vector<Mark> marks(automaton.size(), Mark::kNew);
  struct Open {
    NodeId entry;
    std::vector<NodeId> calls;
  };
  // Every rule is reached from the start by some call, not always a first one: begin at each.
  std::vector<NodeId> entries = {automaton.start};
  for (const Link& link : automaton.links) {
    if (link.back != kNoBack) entries.push_back(link.to);
  }
  for (const NodeId entry : entries) {
    if (marks[entry] != Mark::kNew) continue;
    std::vector<Open> path;
    path.push_back({entry, first_calls(automaton, empty.nodes(), entry, seen_from)});
    marks[entry] = Mark::kOpen;
    while (!path.empty()) {
      if (path.back().calls.empty()) {
        marks[path.back().entry] = Mark::kDone;
        path.pop_back();
        continue;
      }
      const NodeId next = path.back().calls.back();
      path.back().calls.pop_back();
      if (marks[next] == Mark::kOpen) return automaton.nodes[next].rule;
      if (marks[next] == Mark::kDone) continue;
      marks[next] = Mark::kOpen;
      path.push_back({next, first_calls(automaton, empty.nodes(), next, seen_from)});
    }
  }
  return std::nullopt;
}

}  // namespace skein::grammar
