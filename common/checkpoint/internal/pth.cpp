// torch.save's file: a zip with "<name>/data.pkl" (the state dict) and one stored entry
// "<name>/data/<key>" per storage.
#include <algorithm>
#include <unordered_map>

#include "common/checkpoint/internal/pickle.h"
#include "common/checkpoint/internal/readers.h"
#include "common/checkpoint/internal/zip.h"

namespace skein {
namespace {

constexpr std::string_view kPickleName = "data.pkl";
// How torch.save began its files before 1.6: a pickled magic number instead of a zip.
constexpr std::string_view kOldTorchStart = "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8";

using Entries = std::unordered_map<std::string_view, ByteView>;

Result<Entries> index_entries(const Source& source, const std::vector<ZipEntry>& listed) {
  Entries entries;
  for (const ZipEntry& entry : listed) {
    if (!entries.emplace(entry.name, entry.data).second) {
      return source.corrupt("zip entry " + quoted(entry.name) + " is there twice", "directory");
    }
  }
  return entries;
}

// The folder that data.pkl lies in, with its slash.
Result<std::string> find_folder(const Source& source, const std::vector<ZipEntry>& listed) {
  for (const ZipEntry& entry : listed) {
    if (entry.name == kPickleName) return std::string();
    const std::size_t slash = entry.name.find('/');
    if (slash != std::string_view::npos && entry.name.substr(slash + 1) == kPickleName) {
      return std::string(entry.name.substr(0, slash + 1));
    }
  }
  return source.unsupported("this zip is not a PyTorch checkpoint: it has no data.pkl", "directory",
                            "name a file written by torch.save");
}

Result<void> check_byte_order(const Source& source, const Entries& entries,
                              const std::string& folder) {
  const auto found = entries.find(folder + "byteorder");
  if (found == entries.end() || as_text(found->second) == "little") return {};
  return source.unsupported("the tensors are not little-endian", folder + "byteorder",
                            "save the model on a little-endian machine");
}

bool is_contiguous(const PickledTensor& tensor) {
  std::uint64_t expected = 1;
  for (std::size_t i = tensor.shape.size(); i-- > 0;) {
    if (tensor.shape[i] != 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.shape[i];
  }
  return true;
}

Result<CheckpointTensor> place(const Source& source, const PickledTensor& tensor,
                               const Entries& entries, const std::string& folder) {
  const std::string entry_name = folder + "data/" + std::string(tensor.storage_key);
  const std::string what = "tensor " + quoted(tensor.name);
  const std::string where = quoted(entry_name);
  const auto entry = entries.find(entry_name);
  if (entry == entries.end()) return source.corrupt(what + " has no storage", where);
  const std::uint64_t size = element_bytes(tensor.format);
  const ByteView storage = entry->second;
  if (storage.size() % size != 0 || storage.size() / size != tensor.storage_elements) {
    return source.corrupt(what + " has a storage of the wrong size", where);
  }
  if (tensor.first_element > tensor.storage_elements ||
      tensor.strides.size() != tensor.shape.size()) {
    return source.corrupt(what + " lies outside its storage", where);
  }
  const auto count = count_elements(tensor.shape, tensor.storage_elements - tensor.first_element);
  if (!count) return source.corrupt(what + " has a shape that its storage cannot hold", where);
  if (!is_contiguous(tensor)) {
    return source.unsupported(what + " is a strided view", where,
                              "call .contiguous() on every tensor before torch.save");
  }
  return CheckpointTensor{.name = std::string(tensor.name),
                          .shape = narrow_shape(tensor.shape),
                          .format = tensor.format,
                          .data = storage.subspan(tensor.first_element * size, *count * size)};
}

}  // namespace

Result<Checkpoint> read_pth(const Source& source) {
  if (as_text(source.bytes).starts_with(kOldTorchStart)) {
    return source.unsupported("this is the file format of PyTorch before 1.6", at_byte(0),
                              "load it and save it again with a newer torch.save");
  }
  TRY(const std::vector<ZipEntry> listed, read_zip(source));
  TRY(const Entries entries, index_entries(source, listed));
  TRY(const std::string folder, find_folder(source, listed));
  TRY_VOID(check_byte_order(source, entries, folder));
  const auto pickle = entries.find(folder + std::string(kPickleName));
  TRY(const std::vector<PickledTensor> described,
      read_state_dict({.bytes = pickle->second, .file = source.file}));

  Checkpoint checkpoint{.kind = CheckpointKind::kPth, .tensors = {}};
  for (const PickledTensor& tensor : described) {
    TRY(CheckpointTensor placed, place(source, tensor, entries, folder));
    checkpoint.tensors.push_back(std::move(placed));
  }
  return checkpoint;
}

}  // namespace skein
