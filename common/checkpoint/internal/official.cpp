#include "common/checkpoint/internal/official.h"

#include <algorithm>

namespace skein {

Result<void> place_elements(const Source& source, const std::string& what, const std::string& where,
                            const std::vector<std::uint64_t>& shape, ByteReader& reader,
                            CheckpointTensor& tensor) {
  const BlockSize unit = unit_of(tensor.packing, tensor.format);
  const auto count = count_elements(shape, reader.left() / unit.bytes * unit.elements);
  if (!count) return source.corrupt(what + " is larger than the rest of the file", where);
  if (shape.back() % unit.elements != 0) {
    return source.corrupt(what + " has rows of " + std::to_string(shape.back()) +
                              " elements, no whole blocks of " +
                              std::string(name_of(tensor.packing)),
                          where);
  }
  const auto data = reader.take(*count / unit.elements * unit.bytes);
  CHECK(data.has_value());  // counted against what is left
  tensor.shape = narrow_shape(shape);
  tensor.data = *data;
  return {};
}

std::optional<NumberedName> parse_numbered(std::string_view name, std::string_view before) {
  if (!name.starts_with(before)) return std::nullopt;
  const std::string_view rest = name.substr(before.size());
  const std::size_t dot = rest.find('.');
  if (dot == 0 || dot == std::string_view::npos) return std::nullopt;
  const std::string_view number = rest.substr(0, dot);
  if (!std::ranges::all_of(number, [](char c) { return c >= '0' && c <= '9'; })) return {};
  return NumberedName{.number = std::string(number), .part = rest.substr(dot + 1)};
}

void mark_swapped(CheckpointTensor& tensor) {
  const std::size_t rank = tensor.shape.size();
  if (rank < 2) return;
  std::swap(tensor.shape[rank - 2], tensor.shape[rank - 1]);
  tensor.swapped = true;
}

Result<void> split_joined(const Source& source, const CheckpointTensor& joined,
                          const std::string& prefix, std::span<const std::string_view> parts,
                          std::vector<CheckpointTensor>& out) {
  const auto& shape = joined.shape;
  const bool flat =
      shape.size() >= 2 && std::ranges::all_of(shape.begin() + 1, shape.end() - 1,
                                               [](std::uint32_t size) { return size == 1; });
  if (!flat || shape.front() != parts.size()) {
    return source.corrupt("tensor " + quoted(joined.name) + " is not " +
                              std::to_string(parts.size()) + " vectors joined into one",
                          "shape");
  }
  const std::size_t bytes = joined.data.size() / parts.size();  // rows are whole blocks
  for (std::size_t i = 0; i < parts.size(); ++i) {
    CheckpointTensor part = joined;
    part.name = prefix + std::string(parts[i]);
    part.shape = {1, 1, shape.back()};
    part.data = joined.data.subspan(i * bytes, bytes);
    out.push_back(std::move(part));
  }
  return {};
}

}  // namespace skein
