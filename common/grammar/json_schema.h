// A JSON schema as a Grammar of the texts that fit it. Pure; any thread. Which keywords are read,
// and how, stands in README.md; one that would change the meaning and is not read is refused.
#pragma once

#include <cstddef>
#include <string_view>

#include "common/grammar/grammar.h"

namespace skein {

inline constexpr std::size_t kMaxSchemaBytes = 256 * 1024;
inline constexpr std::size_t kMaxSchemaDepth = 64;  // of the schema's own JSON
inline constexpr std::size_t kMaxSchemaWork =
    200'000;  // values looked at, $ref and allOf written out

// Errors say where in the schema (#/properties/...): Errc::kCorrupt for what is no schema,
// Errc::kUnsupported for a keyword that is not read or a limit that is passed.
Result<Grammar> grammar_of_schema(std::string_view json);
// Any JSON object.
Result<Grammar> grammar_of_any_object();

}  // namespace skein
