// StateTable: where in a grammar a text may be, as numbered states, made as they are met. A state
// is every position the text so far allows: a node that reads a byte and the stack of nodes to come
// back to. Stacks share their lower parts and equal states share a number, so a step that was taken
// before is one look into a table. One owner, one thread; private to the room.
//
// What it remembers never changes what a step gives: it is a cache, and shrink() empties it.
#pragma once

#include <unordered_map>

#include "common/grammar/grammar_state.h"
#include "common/grammar/internal/automaton.h"

namespace skein::grammar {

using State = std::uint32_t;

class StateTable {
 public:
  // Not states: no text goes on like this; it could, but a limit is passed.
  static constexpr State kDead = 0xFFFFFFFF;
  static constexpr State kDepth = 0xFFFFFFFE;   // kMaxGrammarDepth
  static constexpr State kStacks = 0xFFFFFFFD;  // kMaxGrammarStacks
  static constexpr bool is_state(State state) { return state < kUnknown; }

  explicit StateTable(std::shared_ptr<const Automaton> automaton);

  State start() const { return start_; }  // may be kStacks or kDepth
  // `state` is_state.
  State next(State state, unsigned char byte) {
    const std::size_t at = state * std::size_t{automaton_->classes} + automaton_->class_of[byte];
    return steps_[at] != kUnknown ? steps_[at] : make_step(state, at);
  }
  bool may_end(State state) const { return states_[state].may_end; }
  bool may_go_on(State state) const { return states_[state].count > 0; }

  std::size_t states() const { return states_.size(); }
  std::size_t positions() const { return positions_.size(); }  // of all states together
  // How many positions were looked at so far: what steps that were not remembered have cost.
  std::uint64_t work() const { return work_; }
  // Forgets all but the start and `keep`; returns keep's new number.
  State shrink(State keep);

 private:
  static constexpr State kUnknown = 0xFFFFFFFC;
  using StackId = std::uint32_t;  // 0 is the empty stack
  struct Stack {
    NodeId back;
    StackId below;
    std::uint32_t depth;
  };
  struct Position {
    NodeId node;
    StackId stack;
    friend auto operator<=>(const Position&, const Position&) = default;
  };
  struct Known {  // a state's positions, in positions_
    std::uint32_t first;
    std::uint32_t count;
    bool may_end;
  };
  static std::uint64_t key_of(const Position& position) {
    return std::uint64_t{position.node} << 32 | position.stack;
  }

  State make_step(State state, std::size_t at);
  void add(NodeId node, StackId stack);
  StackId push(NodeId back, StackId below);
  State settle();
  State number_of_found();
  void clear();

  std::shared_ptr<const Automaton> automaton_;
  std::vector<Stack> stacks_;
  std::unordered_map<std::uint64_t, StackId> stack_numbers_;  // (back, below)
  std::vector<Position> positions_;
  std::vector<Known> states_;
  std::unordered_multimap<std::uint64_t, State> state_numbers_;  // by hash of positions
  std::vector<State> steps_;                                     // (states, byte classes)
  State start_ = kDead;
  std::uint64_t work_ = 0;

  // The step being made.
  std::vector<Position> met_;         // each once; what they lead to is appended
  std::vector<Position> found_;       // of those, the ones that read a byte
  std::vector<std::uint64_t> slots_;  // a hash set of those met: key + 1; 0 is free
  std::vector<std::uint32_t> used_slots_;
  bool may_end_ = false;
  bool too_deep_ = false;
};

// Why `byte` (counted from 0) of what comes next does not follow; `next` is not a state.
tl::unexpected<Error> refusal(State next, std::size_t byte);

// Compiled, and known to have a state to start from.
Result<Grammar> make_grammar(const RuleSet& rules, std::uint32_t root);

}  // namespace skein::grammar
