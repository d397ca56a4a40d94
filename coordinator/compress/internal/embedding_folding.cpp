#include "coordinator/compress/internal/embedding_folding.h"

#include <algorithm>

#include "common/model/weights.h"
#include "coordinator/compress/internal/changed_tensor.h"
#include "kernels/ops/norm.h"

namespace skein {
namespace {

constexpr std::string_view kEmbeddingName = "emb.weight";
constexpr std::string_view kNormWeight = "blocks.0.ln0.weight";
constexpr std::string_view kNormBias = "blocks.0.ln0.bias";

Result<std::vector<float>> values_of(const Checkpoint& checkpoint, std::string_view name) {
  const CheckpointTensor* tensor = find_tensor(checkpoint, name);
  CHECK(tensor != nullptr);  // find_config has seen it
  return stored_values(*tensor);
}

}  // namespace

Result<Checkpoint> with_normed_embedding(const Checkpoint& checkpoint) {
  TRY_VOID(find_config(checkpoint));
  if (find_tensor(checkpoint, kNormedEmbedding) != nullptr) return checkpoint;
  TRY(std::vector<float> rows, values_of(checkpoint, kEmbeddingName));
  TRY(const std::vector<float> weight, values_of(checkpoint, kNormWeight));
  TRY(const std::vector<float> bias, values_of(checkpoint, kNormBias));
  const std::size_t width = weight.size();
  const NormWeights norm{weight, bias, kLayerNormEpsilon};
  for (std::size_t at = 0; at < rows.size(); at += width) {
    const std::span<float> row = std::span(rows).subspan(at, width);
    layer_norm(row, norm, row);
  }
  Checkpoint folded = checkpoint;
  std::erase_if(folded.tensors, [](const CheckpointTensor& tensor) {
    return tensor.name == kNormWeight || tensor.name == kNormBias;
  });
  const std::vector<std::uint32_t> shape = find_tensor(checkpoint, kEmbeddingName)->shape;
  put_tensor(folded, made_tensor({.name = std::string(kEmbeddingName), .shape = shape}, rows));
  const float one = 1;
  put_tensor(folded, made_tensor({.name = std::string(kNormedEmbedding), .shape = {1, 1}},
                                 std::span(&one, 1)));
  return folded;
}

Result<std::uint64_t> bytes_as_kept(const Checkpoint& checkpoint) {
  std::uint64_t bytes = 0;
  for (const CheckpointTensor& tensor : checkpoint.tensors) {
    TRY(const TensorEntry form, stored_form(tensor));
    bytes += stored_bytes(form.format, form.layout, form.rows, form.cols);
  }
  return bytes;
}

std::uint64_t bytes_without_derived(const PageSource& pages) {
  std::uint64_t bytes = 0;
  for (const TensorEntry& tensor : pages.manifest().tensors) {
    if (is_derived(tensor.name)) continue;
    bytes += stored_bytes(tensor.format, tensor.layout, tensor.rows, tensor.cols);
  }
  return bytes;
}

KeepingEncoder::KeepingEncoder(const Checkpoint& checkpoint,
                               std::map<std::string, Format, std::less<>> formats)
    : formats_(std::move(formats)) {
  for (const CheckpointTensor& tensor : checkpoint.tensors) {
    formats_.emplace(tensor.name, element_format(tensor));
  }
}

Format KeepingEncoder::format_of(std::string_view tensor) {
  const auto found = formats_.find(tensor);
  CHECK(found != formats_.end());
  return found->second;
}

Result<void> KeepingEncoder::encode(const TensorEntry& tensor, std::span<const float> values,
                                    MutableByteView out) {
  skein::encode(tensor.format, tensor.layout, tensor.rows, tensor.cols, values, out);
  return {};
}

}  // namespace skein
