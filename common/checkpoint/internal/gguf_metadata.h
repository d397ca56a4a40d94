// The metadata of a GGUF file: typed values by key, as views into the file. A value, made once; any
// thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/result.h"
#include "common/checkpoint/internal/source.h"

namespace skein {

// u64 length, then so many bytes. `what` is named if they break off.
Result<std::string_view> read_gguf_text(const Source& source, ByteReader& reader,
                                        const std::string& what);

class GgufMetadata {
 public:
  // Errc::kCorrupt names the key: unknown types, arrays past the end of the file, keys twice.
  static Result<GgufMetadata> read(const Source& source, ByteReader& reader, std::uint64_t count);

  // nullopt = there is no such key; Errc::kCorrupt = its value is of another kind.
  Result<std::optional<std::uint64_t>> whole_number(const Source& source,
                                                    std::string_view key) const;
  Result<std::optional<double>> number(const Source& source, std::string_view key) const;
  Result<std::optional<std::string_view>> text(const Source& source, std::string_view key) const;
  Result<std::optional<std::vector<std::string_view>>> texts(const Source& source,
                                                             std::string_view key,
                                                             std::uint64_t max_count) const;
  Result<std::optional<std::vector<std::int32_t>>> integers(const Source& source,
                                                            std::string_view key,
                                                            std::uint64_t max_count) const;

 private:
  struct Value {
    std::uint32_t type = 0;  // of an array: of its elements
    bool is_array = false;
    std::uint64_t count = 1;
    ByteView bytes = {};  // of a text: without its length
  };
  static Result<Value> read_value(const Source& source, ByteReader& reader,
                                  const std::string& what);
  const Value* find(std::string_view key) const;

  std::unordered_map<std::string_view, Value> values_;
};

}  // namespace skein
