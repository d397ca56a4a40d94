// The technique `embedding`: ln0 folded into the embedding (METHODS 0.4: emb' = LN0(emb)), and an
// encoder that stores some matrices anew and leaves all others as they are. Pure; any thread.
#pragma once

#include <map>
#include <string>

#include "common/convert/convert.h"

namespace skein {

// The same model: rows are f32 and the very floats that ln0 would make of them, ln0 is gone, and
// kNormedEmbedding stands in its place. One that is folded already comes back as it is.
Result<Checkpoint> with_normed_embedding(const Checkpoint& checkpoint);

// Of all tensors, as an artifact that keeps every bit stores them; and of one that is made.
Result<std::uint64_t> bytes_as_kept(const Checkpoint& checkpoint);
std::uint64_t bytes_without_derived(const PageSource& pages);

// Rounds to the nearest what is named, and keeps the rest.
class KeepingEncoder final : public MatrixEncoder {
 public:
  KeepingEncoder(const Checkpoint& checkpoint, std::map<std::string, Format, std::less<>> formats);
  Format format_of(std::string_view tensor) override;
  Result<void> encode(const TensorEntry& tensor, std::span<const float> values,
                      MutableByteView out) override;

 private:
  std::map<std::string, Format, std::less<>> formats_;  // of all tensors
};

}  // namespace skein
