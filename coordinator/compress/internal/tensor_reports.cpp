#include "coordinator/compress/internal/tensor_reports.h"

#include <cmath>

#include "coordinator/compress/internal/changed_tensor.h"
#include "coordinator/compress/internal/matrix_rounding.h"

namespace skein {
namespace {

// The tensor's stored bytes, its segments one after another.
Result<Buffer> joined(PageSource& pages, const TensorEntry& tensor) {
  Buffer all;
  for (const Segment& segment : tensor.segments) {
    TRY(const ByteView page, pages.page(PageIndex(segment.page)));
    append(all, page.subspan(segment.offset, stored_bytes(tensor.format, tensor.layout,
                                                          segment.rows, tensor.cols)));
  }
  return all;
}

// Before anything was done; of a matrix that factors replaced, the left one tells it.
Result<std::uint64_t> bytes_before(const Checkpoint& original, const Checkpoint& checkpoint,
                                   std::string_view name) {
  if (name.ends_with(kLeftFactor) && find_tensor(original, name) == nullptr) {
    name.remove_suffix(kLeftFactor.size());
    if (find_tensor(checkpoint, name) != nullptr) return 0;  // it is there and counts itself
  }
  const CheckpointTensor* tensor = find_tensor(original, name);
  if (tensor == nullptr) return 0;
  TRY(const TensorEntry form, stored_form(*tensor));
  return stored_bytes(form.format, form.layout, form.rows, form.cols);
}

}  // namespace

Result<std::vector<TensorReport>> compare(const Checkpoint& original, const Checkpoint& checkpoint,
                                          PageSource& artifact) {
  std::vector<TensorReport> reports;
  for (const TensorEntry& tensor : artifact.manifest().tensors) {
    if (is_derived(tensor.name)) continue;
    TensorReport report{.name = tensor.name, .format = tensor.format};
    report.weights = std::uint64_t{tensor.rows} * tensor.cols;
    TRY(report.bytes_before, bytes_before(original, checkpoint, tensor.name));
    report.bytes_after = stored_bytes(tensor.format, tensor.layout, tensor.rows, tensor.cols);
    const CheckpointTensor* source = find_tensor(checkpoint, tensor.name);
    if (source == nullptr) {  // made by encoding the others
      reports.push_back(std::move(report));
      continue;
    }
    TRY(const TensorEntry before, stored_form(*source));
    if (tensor.format != before.format) {
      TRY(const std::vector<float> values, stored_values(*source));
      TRY(const Buffer stored, joined(artifact, tensor));
      const StoredValues matrix{.layout = tensor.layout,
                                .rows = tensor.rows,
                                .cols = tensor.cols,
                                .neuron_major = false,
                                .values = values};
      report.relative_error = std::sqrt(squared_difference(matrix, tensor.format, stored));
    }
    reports.push_back(std::move(report));
  }
  return reports;
}

}  // namespace skein
