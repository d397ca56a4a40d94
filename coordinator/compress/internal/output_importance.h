// OutputImportance: what a squared error of each output of the embedding and of the head costs,
// from how often a text has each id. The embedding's row is read as often as its id is, and LN0
// divides it, with its error, by its deviation. A head's row moves one logit, and the divergence
// that moving it costs is its probability's share, which on average is how often the id comes.
// Values; any thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/artifact/manifest.h"

namespace skein {

class OutputImportance {
 public:
  // Ids of the text, all below `vocab`.
  OutputImportance(std::span<const TokenId> ids, std::uint32_t vocab);

  // Of stored rows, positive; empty for other matrices. `values` are the matrix's, row-major.
  std::vector<float> of(const TensorEntry& tensor, std::span<const float> values) const;

 private:
  std::vector<float> share_;  // of each id, in mean shares
};

}  // namespace skein
