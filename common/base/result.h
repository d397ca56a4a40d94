// Result<T> and Error: how everything that the world can refuse is reported.
// Values; any thread. A bug is not an Error: see check.h.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace skein {

// The same kinds locally and on the wire (common/wire sends the number). Never renumber.
enum class Errc : unsigned char {
  kUsage = 1,        // the caller asked for something that makes no sense
  kCorrupt = 2,      // bytes from outside do not check out
  kUnsupported = 3,  // well formed, but not something this build understands
  kRefused = 4,      // signature, permission or policy says no
  kNotFound = 5,     // the named thing is absent
  kUnavailable = 6,  // the network or the other side is not there
  kDeadline = 7,     // it took longer than allowed
  kCancelled = 8,    // this side gave up
  kOutOfRoom = 9,    // memory budget or disk
  kOutOfStep = 10,   // a recurrent session was asked for a step it cannot run
  kConflict = 11,    // the state machine is elsewhere
  kInput = 12,       // the operating system failed a read or write
  kFalse = 13,       // the thing asked about is not so (a failed check)
};

// "what (where): remedy". `where` and `remedy` may be empty.
struct Error {
  Errc code = Errc::kUsage;
  std::string what;
  std::string where;
  std::string remedy;
  friend bool operator==(const Error&, const Error&) = default;
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(Errc code, std::string what, std::string where = {},
                                  std::string remedy = {}) {
  return tl::unexpected<Error>(Error{code, std::move(what), std::move(where), std::move(remedy)});
}

// One line: "what (where): remedy".
std::string to_string(const Error& error);
std::string_view name_of(Errc code);  // "corrupt", "deadline", ...
// The documented process exit code: 0 done, 1 false, 2 usage, 3 bad input, 4 refused, 5
// unavailable, 6 out of room.
int exit_code(Errc code);

// Adds the room's own words once: what becomes "<context>: <what>".
inline Error within(std::string_view context, Error error) {
  error.what = std::string(context) + ": " + error.what;
  return error;
}

}  // namespace skein

#define SKEIN_JOIN_2(a, b) a##b
#define SKEIN_JOIN(a, b) SKEIN_JOIN_2(a, b)
#define SKEIN_TRY_2(name, ret, decl, ...)                                   \
  auto name = (__VA_ARGS__);                                                \
  if (!name) ret ::tl::unexpected<::skein::Error>(std::move(name.error())); \
  decl = std::move(*name)
#define SKEIN_TRY_VOID_2(name, ret, ...) \
  if (auto name = (__VA_ARGS__); !name)  \
  ret ::tl::unexpected<::skein::Error>(std::move(name.error()))

// TRY(auto x, f());      in a function:  x = the value, or return the error
// TRY_VOID(f());         for Result<void>
// CO_TRY / CO_TRY_VOID   the same inside a coroutine
#define TRY(decl, ...) SKEIN_TRY_2(SKEIN_JOIN(try_, __LINE__), return, decl, __VA_ARGS__)
#define TRY_VOID(...) SKEIN_TRY_VOID_2(SKEIN_JOIN(try_, __LINE__), return, __VA_ARGS__)
#define CO_TRY(decl, ...) SKEIN_TRY_2(SKEIN_JOIN(try_, __LINE__), co_return, decl, __VA_ARGS__)
#define CO_TRY_VOID(...) SKEIN_TRY_VOID_2(SKEIN_JOIN(try_, __LINE__), co_return, __VA_ARGS__)
