// Statement: one SQL statement with its values bound, and the row it stands on. Borrowed from its
// Database, which outlives it; goes back to the cache when it ends. The Database's thread only.
//
//   TRY(Statement find, db.prepare("SELECT name, manifest FROM models WHERE id = ?"));
//   find.bind(id);
//   TRY(const bool found, find.step());
//   TRY(const std::string name, find.column<std::string>(0));
//
// Most callers want Database::run, select and select_one, which do all of this.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "common/base/bytes.h"
#include "common/base/digest.h"
#include "common/base/ids.h"
#include "common/base/result.h"

struct sqlite3_stmt;

namespace skein {

namespace internal {
struct DatabaseState;
template <class T>
inline constexpr bool kIsOptional = false;
template <class T>
inline constexpr bool kIsOptional<std::optional<T>> = true;
template <class T>
inline constexpr bool kIsStrong = false;
template <class Tag, class Rep>
inline constexpr bool kIsStrong<Strong<Tag, Rep>> = true;
}  // namespace internal

class Statement {
 public:
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  // One value for every `?`, in order: integers, enumerations, bool, double, text, bytes, Digest,
  // strong ids, std::nullopt and std::optional of these. Copied. Unsigned 64-bit values keep their
  // bits (those above 2^63 sort as negative).
  template <class... Values>
  Statement& bind(const Values&... values) {
    expect_parameters(sizeof...(values));
    int index = 0;
    (bind_one(++index, values), ...);
    return *this;
  }

  // True: there is a row. False: the end.
  Result<bool> step();
  // Column of the present row, from 0. Errc::kCorrupt when it does not hold a T.
  template <class T>
  Result<T> column(int index) const;

 private:
  friend class Database;
  Statement(internal::DatabaseState& database, sqlite3_stmt* raw, std::string sql);

  void expect_parameters(std::size_t count) const;
  void bind_null(int index);
  void bind_integer(int index, std::int64_t value);
  void bind_real(int index, double value);
  void bind_text(int index, std::string_view text);
  void bind_blob(int index, ByteView bytes);
  template <class T>
  void bind_one(int index, const T& value);

  bool is_null(int index) const;
  Result<std::int64_t> integer(int index) const;
  Result<double> real(int index) const;
  Result<std::string> text(int index) const;
  Result<Buffer> blob(int index) const;
  tl::unexpected<Error> unlike(int index, const char* wanted) const;

  internal::DatabaseState* database_;  // null once moved from
  sqlite3_stmt* raw_;
  std::string sql_;
};

template <class T>
void Statement::bind_one(int index, const T& value) {
  if constexpr (std::is_same_v<T, std::nullopt_t>) {
    bind_null(index);
  } else if constexpr (internal::kIsOptional<T>) {
    value ? bind_one(index, *value) : bind_null(index);
  } else if constexpr (internal::kIsStrong<T>) {
    bind_one(index, value.value());
  } else if constexpr (std::is_enum_v<T> || std::is_integral_v<T>) {
    bind_integer(index, static_cast<std::int64_t>(value));
  } else if constexpr (std::is_floating_point_v<T>) {
    bind_real(index, static_cast<double>(value));
  } else if constexpr (std::is_same_v<T, Digest>) {
    bind_blob(index, value.bytes);
  } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    bind_text(index, value);
  } else {
    bind_blob(index, ByteView(value));
  }
}

template <class T>
Result<T> Statement::column(int index) const {
  if constexpr (internal::kIsOptional<T>) {
    if (is_null(index)) return T{};
    TRY(auto value, column<typename T::value_type>(index));
    return T(std::move(value));
  } else if constexpr (internal::kIsStrong<T>) {
    TRY(const auto value, column<typename T::rep>(index));
    return T(value);
  } else if constexpr (std::is_enum_v<T>) {
    TRY(const auto value, column<std::underlying_type_t<T>>(index));
    return static_cast<T>(value);
  } else if constexpr (std::is_same_v<T, bool>) {
    TRY(const std::int64_t value, integer(index));
    return value != 0;
  } else if constexpr (std::is_same_v<T, std::uint64_t>) {
    TRY(const std::int64_t value, integer(index));
    return static_cast<std::uint64_t>(value);
  } else if constexpr (std::is_integral_v<T>) {
    TRY(const std::int64_t value, integer(index));
    if (!std::in_range<T>(value)) return unlike(index, "an integer in range");
    return static_cast<T>(value);
  } else if constexpr (std::is_floating_point_v<T>) {
    TRY(const double value, real(index));
    return static_cast<T>(value);
  } else if constexpr (std::is_same_v<T, std::string>) {
    return text(index);
  } else if constexpr (std::is_same_v<T, Digest>) {
    TRY(const Buffer bytes, blob(index));
    const auto digest = Digest::from_bytes(bytes);
    if (!digest) return unlike(index, "a digest of 32 bytes");
    return *digest;
  } else {
    static_assert(std::is_same_v<T, Buffer>, "no column type");
    return blob(index);
  }
}

}  // namespace skein
