// CodedSize: how many bytes a rounded matrix's pages take once they are entropy coded, found by
// coding them. Pure; any thread.
#pragma once

#include "coordinator/compress/internal/error_feedback.h"

namespace skein {

struct CodedSize {
  std::uint64_t codes = 0;  // bytes
  std::uint64_t heads = 0;
  std::uint64_t bytes() const { return codes + heads; }
};

// Page by page as convert cuts them. Codes in contexts by their group's step class, or (order 0)
// in one; heads as differences of their steps from the neighbours', and zeros.
CodedSize coded_size(const GroupCodes& rounded, const StoredValues& matrix, Format format,
                     bool contexts);

}  // namespace skein
