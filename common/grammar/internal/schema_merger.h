// SchemaMerger: $ref and allOf written out: several schemas that must all fit, as one. One
// conversion's; private to the room.
#pragma once

#include "common/grammar/internal/schema_keywords.h"

namespace skein::grammar {

class SchemaMerger {
 public:
  explicit SchemaMerger(const json::value& root) : root_(root) {}

  // Errc::kUnsupported once kMaxSchemaWork is spent: a schema can refer to itself without end.
  Result<void> spend(std::uint64_t work, const Place& place);
  // What "#" or "#/..." stands for in the schema.
  Result<const json::value*> target_of(std::string_view reference, const Place& place) const;
  // One object without $ref and allOf, its constraints only.
  Result<json::object> flattened(const json::value& schema, const Place& place,
                                 std::size_t depth = 0);
  // What fits both; neither has $ref or allOf.
  Result<json::object> merged(json::object a, const json::object& b, const Place& place);

 private:
  Result<void> merge_keyword(json::object& a, std::string_view key, const json::value& b,
                             const Place& place);
  Result<void> merge_properties(json::object& a, const json::object& b, const Place& place);

  const json::value& root_;
  std::uint64_t spent_ = 0;
};

}  // namespace skein::grammar
