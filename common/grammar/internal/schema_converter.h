// SchemaConverter: a JSON schema to rules. One conversion's; private to the room.
//
// schema_converter.cpp has what combines schemas ($ref, allOf, anyOf, enum, type), schema_types.cpp
// what each type of value may be.
#pragma once

#include <vector>

#include "common/grammar/grammar.h"
#include "common/grammar/internal/expression.h"
#include "common/grammar/internal/number_range.h"
#include "common/grammar/internal/schema_merger.h"

namespace skein::grammar {

class SchemaConverter {
 public:
  explicit SchemaConverter(const json::value& root) : root_(root), merger_(root) {}
  Result<Grammar> run();

 private:
  using Object = json::object;

  // An expression of the texts that fit `schema`; no blanks around them. `depth`: how many schemas
  // this one is within.
  Result<Expression> convert(const json::value& schema, const Place& place, std::size_t depth);
  // Without $ref and allOf.
  Result<Expression> convert_flat(const Object& schema, const Place& place, std::size_t depth);
  Result<Expression> convert_choice(const Object& schema, std::string_view keyword,
                                    const Place& place, std::size_t depth);
  Result<Expression> convert_values(const Object& schema, const Place& place);
  Result<Expression> convert_type(std::string_view type, const Object& schema, const Place& place,
                                  std::size_t depth);
  Result<std::vector<std::string>> types_of(const Object& schema, const Place& place) const;
  Result<Expression> rule_for(std::string_view reference, const Place& place);

  Result<Expression> convert_string(const Object& schema, const Place& place);
  Result<Expression> convert_number(const Object& schema, bool integer, const Place& place);
  Result<Expression> convert_array(const Object& schema, const Place& place, std::size_t depth);
  Result<Expression> convert_object(const Object& schema, const Place& place, std::size_t depth);

  struct Member {
    Expression text;
    bool required;
  };
  struct Further {  // members beyond the named ones
    bool allowed = false;
    Expression member;
  };
  Result<std::vector<Member>> members_of(const Object& schema, const Place& place,
                                         std::size_t depth);
  Result<Further> further_of(const Object& schema, const Place& place, std::size_t depth);
  Expression object_of(std::vector<Member> members, const Further& further, const Place& place);
  Expression member_of(Expression name, Expression value) const;
  Expression other_name(const Object* properties, const Place& place);

  Expression json(std::string_view rule) const;  // "string" is the rule json-string
  Expression as_rule(const Place& place, Expression body);
  // The rule of this name, made by `make` at first.
  template <class Make>
  Result<Expression> shared(const std::string& name, Make make) {
    if (const auto known = rules_.by_name.find(name); known != rules_.by_name.end()) {
      return rule_of(known->second);
    }
    TRY(Expression body, make());
    return rule_of(rules_.add(name, std::move(body)));
  }

  struct Referred {
    std::uint32_t rule;
    const json::value* schema;
    Place place;
  };

  const json::value& root_;
  SchemaMerger merger_;
  RuleSet rules_;
  std::vector<Referred> referred_;  // rules that are still to be made
  std::size_t made_ = 0;            // rules without a name of their own
};

}  // namespace skein::grammar
