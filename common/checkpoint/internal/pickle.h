// Pickle: the part of Python's object format that torch.save uses for a dictionary of tensors, run
// on a small stack machine that builds values and nothing else. No name is ever imported: six
// names are known, every other one is refused. Pure; any thread.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "common/checkpoint/internal/source.h"

namespace skein {

inline constexpr std::size_t kMaxPickleBytes = 32U << 20;
inline constexpr std::size_t kMaxPickleValues = 1U << 20;  // also bounds the stack
inline constexpr std::size_t kMaxPickleMemo = 1U << 20;
inline constexpr std::size_t kMaxPickleMarks = 64;  // nesting of tuples under construction

// A tensor as the pickle describes it; its storage is another entry of the zip.
struct PickledTensor {
  std::string_view name;
  std::string_view storage_key;
  Format format = Format::kF32;
  std::uint64_t storage_elements = 0;
  std::uint64_t first_element = 0;
  std::vector<std::uint64_t> shape = {};
  std::vector<std::uint64_t> strides = {};  // in elements, one per dimension
};

// source.bytes is the pickle; names view it.
Result<std::vector<PickledTensor>> read_state_dict(const Source& source);

}  // namespace skein
