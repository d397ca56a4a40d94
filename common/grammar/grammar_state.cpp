#include "common/grammar/grammar_state.h"

#include "common/grammar/internal/state_table.h"

namespace skein {

using grammar::StateTable;

namespace {
constexpr std::size_t kMostStates = 4096;  // remembered at a time
}

GrammarState::GrammarState(const Grammar& grammar)
    : table_(std::make_unique<StateTable>(grammar.automaton())), state_(table_->start()) {}
GrammarState::GrammarState(GrammarState&&) noexcept = default;
GrammarState& GrammarState::operator=(GrammarState&&) noexcept = default;
GrammarState::~GrammarState() = default;

bool GrammarState::may_follow(unsigned char byte) {
  return StateTable::is_state(table_->next(state_, byte));
}

bool GrammarState::may_end() const { return table_->may_end(state_); }

bool GrammarState::may_go_on() const { return table_->may_go_on(state_); }

Result<void> GrammarState::accept(std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (table_->states() > kMostStates) state_ = table_->shrink(state_);
    const grammar::State next = table_->next(state_, static_cast<unsigned char>(bytes[i]));
    if (!StateTable::is_state(next)) return grammar::refusal(next, i);
    state_ = next;
  }
  return {};
}

}  // namespace skein
