#include "common/grammar/grammar.h"

#include "common/grammar/internal/gbnf_parser.h"
#include "common/grammar/internal/state_table.h"

namespace skein {

Grammar::Grammar(std::shared_ptr<const grammar::Automaton> automaton)
    : automaton_(std::move(automaton)) {}

Result<Grammar> Grammar::parse(std::string_view gbnf) {
  TRY(const grammar::RuleSet rules, grammar::parse_gbnf(gbnf));
  const auto root = rules.by_name.find("root");
  if (root == rules.by_name.end()) {
    return fail(Errc::kCorrupt, "no rule is named \"root\"", "grammar",
                "root ::= ... says what the whole answer is");
  }
  return grammar::make_grammar(rules, root->second);
}

Result<Grammar> grammar::make_grammar(const RuleSet& rules, std::uint32_t root) {
  TRY(auto automaton, compile(rules, root));
  const StateTable table(automaton);
  if (!StateTable::is_state(table.start())) return refusal(table.start(), 0);
  return Grammar(std::move(automaton));
}

}  // namespace skein
