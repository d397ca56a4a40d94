// What must hold of a compiled grammar before text is read with it. Private to the room.
#pragma once

#include <optional>

#include "common/grammar/internal/automaton.h"

namespace skein::grammar {

// A rule whose end no text reaches; of several the last, since what calls an endless rule is
// endless too.
std::optional<std::uint32_t> find_endless(const Automaton& automaton);
// A rule that comes back to its own beginning before any byte is read: left recursion.
std::optional<std::uint32_t> find_left_recursion(const Automaton& automaton);

}  // namespace skein::grammar
