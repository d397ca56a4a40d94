// What the readers of other dialects share to bring tensors into the official form. Pure; any
// thread.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/checkpoint/checkpoint.h"
#include "common/checkpoint/internal/source.h"

namespace skein {

// Takes the elements of a tensor whose format and packing are known from where `reader` stands, and
// notes its shape (outermost first). Says so if the rest of the file cannot hold them, or if rows
// are no whole blocks.
Result<void> place_elements(const Source& source, const std::string& what, const std::string& where,
                            const std::vector<std::uint64_t>& shape, ByteReader& reader,
                            CheckpointTensor& tensor);

// "<before>12.<part>" -> 12 and part; nullopt = not of that form.
struct NumberedName {
  std::string number;
  std::string_view part;
};
std::optional<NumberedName> parse_numbered(std::string_view name, std::string_view before);

// Marks a matrix, or a stack of them, as lying transposed in the file, and turns its shape. Other
// ranks stay as they are, for the importer to name.
void mark_swapped(CheckpointTensor& tensor);

// Vectors joined into one tensor, (parts, [1, [1,]] width): each in its place, of shape (1, 1,
// width), under `prefix` and its part's name.
Result<void> split_joined(const Source& source, const CheckpointTensor& joined,
                          const std::string& prefix, std::span<const std::string_view> parts,
                          std::vector<CheckpointTensor>& out);

}  // namespace skein
