#include "common/grammar/internal/state_table.h"

#include <algorithm>

#include "common/base/check.h"

namespace skein::grammar {
namespace {

constexpr std::size_t kSlots = 4 * kMaxGrammarStacks;
static_assert((kSlots & (kSlots - 1)) == 0);

std::uint64_t mixed(std::uint64_t x) {
  x *= 0x9E3779B97F4A7C15ULL;
  return x ^ (x >> 29);
}

}  // namespace

StateTable::StateTable(std::shared_ptr<const Automaton> automaton)
    : automaton_(std::move(automaton)), slots_(kSlots, 0) {
  clear();
}

void StateTable::clear() {
  stacks_.assign(1, Stack{kNoBack, 0, 0});
  stack_numbers_.clear();
  positions_.clear();
  states_.clear();
  state_numbers_.clear();
  steps_.clear();
  add(automaton_->start, 0);
  start_ = settle();
}

State StateTable::shrink(State keep) {
  const Known known = states_[keep];
  const auto first = positions_.begin() + known.first;
  const std::vector<Position> kept(first, first + known.count);
  const std::vector<Stack> old = std::move(stacks_);
  clear();
  constexpr StackId kNotKept = 0xFFFFFFFF;
  std::vector<StackId> numbers(old.size(), kNotKept);
  std::vector<bool> needed(old.size(), false);
  needed[0] = true;
  for (const Position& position : kept) {
    for (StackId at = position.stack; !needed[at]; at = old[at].below) needed[at] = true;
  }
  numbers[0] = 0;
  for (StackId at = 1; at < old.size(); ++at) {  // what is below has the smaller number
    if (needed[at]) numbers[at] = push(old[at].back, numbers[old[at].below]);
  }
  for (const Position& position : kept) {
    found_.push_back({position.node, numbers[position.stack]});
  }
  may_end_ = known.may_end;
  const State state = number_of_found();
  found_.clear();
  may_end_ = false;
  return state;
}

State StateTable::make_step(State state, std::size_t at) {
  const auto read = static_cast<std::uint8_t>(at % automaton_->classes);
  const Known known = states_[state];
  for (std::uint32_t i = known.first; i < known.first + known.count; ++i) {
    const Position from = positions_[i];
    const std::span<const Edge> edges = automaton_->edges_of(from.node);
    work_ += edges.size();
    for (const Edge& edge : edges) {
      if (edge.first <= read && read <= edge.last) add(edge.to, from.stack);
    }
  }
  const State next = settle();
  steps_[at] = next;
  return next;
}

void StateTable::add(NodeId node, StackId stack) {
  const std::uint64_t key = key_of({node, stack}) + 1;
  std::size_t slot = mixed(key) & (kSlots - 1);
  while (slots_[slot] != 0) {
    if (slots_[slot] == key) return;
    slot = (slot + 1) & (kSlots - 1);
  }
  if (met_.size() > kMaxGrammarStacks) return;  // settle() says so
  slots_[slot] = key;
  used_slots_.push_back(static_cast<std::uint32_t>(slot));
  met_.push_back({node, stack});
}

StateTable::StackId StateTable::push(NodeId back, StackId below) {
  const auto next = static_cast<StackId>(stacks_.size());
  const auto [found, is_new] = stack_numbers_.try_emplace(key_of({back, below}), next);
  if (is_new) {
    const std::uint32_t depth = stacks_[below].depth + 1;
    stacks_.push_back({back, below, depth});
  }
  if (stacks_[found->second].depth > kMaxGrammarDepth) too_deep_ = true;
  return found->second;
}

// Follows the links from all that was added, and names the state that this makes.
State StateTable::settle() {
  for (std::size_t i = 0; i < met_.size() && !too_deep_; ++i) {
    const Position at = met_[i];
    const Automaton::Node& node = automaton_->nodes[at.node];
    if (!automaton_->edges_of(at.node).empty()) found_.push_back(at);
    for (const Link& link : automaton_->links_of(at.node)) {
      const bool comes_back = link.back != kNoBack && link.back != kTailCall;
      add(link.to, comes_back ? push(link.back, at.stack) : at.stack);
    }
    if (node.ends_rule && at.stack == 0) may_end_ = true;
    if (node.ends_rule && at.stack != 0) {
      const Stack top = stacks_[at.stack];
      add(top.back, top.below);
    }
  }
  State state = kDead;
  if (too_deep_) {
    state = kDepth;
  } else if (met_.size() > kMaxGrammarStacks) {
    state = kStacks;
  } else if (!found_.empty() || may_end_) {
    std::ranges::sort(found_);
    state = number_of_found();
  }
  work_ += 8 * met_.size();
  for (const std::uint32_t slot : used_slots_) slots_[slot] = 0;
  used_slots_.clear();
  met_.clear();
  found_.clear();
  may_end_ = false;
  too_deep_ = false;
  return state;
}

// Of the state that found_ and may_end_ are, which becomes known.
State StateTable::number_of_found() {
  std::uint64_t hash = may_end_ ? 1 : 2;
  for (const Position& position : found_) hash = mixed(hash ^ key_of(position));
  const auto same_hash = state_numbers_.equal_range(hash);
  for (auto it = same_hash.first; it != same_hash.second; ++it) {
    const Known& known = states_[it->second];
    const auto first = positions_.begin() + known.first;
    if (known.may_end == may_end_ &&
        std::equal(first, first + known.count, found_.begin(), found_.end())) {
      return it->second;
    }
  }
  const auto state = static_cast<State>(states_.size());
  CHECK(is_state(state));
  states_.push_back({static_cast<std::uint32_t>(positions_.size()),
                     static_cast<std::uint32_t>(found_.size()), may_end_});
  positions_.insert(positions_.end(), found_.begin(), found_.end());
  state_numbers_.emplace(hash, state);
  steps_.resize(steps_.size() + automaton_->classes, kUnknown);
  work_ += automaton_->classes;
  return state;
}

tl::unexpected<Error> refusal(State next, std::size_t byte) {
  std::string where = "byte " + std::to_string(byte);
  if (next == StateTable::kDepth) {
    return fail(Errc::kUnsupported,
                "the text opens more than " + std::to_string(kMaxGrammarDepth) +
                    " rules of the grammar within each other",
                std::move(where), "use a grammar that nests less");
  }
  if (next == StateTable::kStacks) {
    return fail(
        Errc::kUnsupported,
        "the grammar can be read in more than " + std::to_string(kMaxGrammarStacks) + " ways here",
        std::move(where), "use a grammar that is less ambiguous");
  }
  return fail(Errc::kRefused, "the text does not follow the grammar", std::move(where), "");
}

}  // namespace skein::grammar
