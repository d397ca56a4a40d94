#include "common/artifact/internal/check_manifest.h"

#include <algorithm>

namespace skein::internal {

namespace {

constexpr const char* kRemedy = "fetch the artifact again";

tl::unexpected<Error> corrupt(std::string what) {
  return fail(Errc::kCorrupt, std::move(what), "manifest", kRemedy);
}

tl::unexpected<Error> unknown(std::string what) {
  return fail(Errc::kUnsupported, std::move(what), "manifest", "use a newer Skein");
}

// Labels end up in logs and tables: no control characters.
bool is_label(std::string_view text) {
  return text.size() <= kMaxLabelBytes && std::none_of(text.begin(), text.end(), [](char c) {
           return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
         });
}

Result<void> check_labels(const Manifest& manifest) {
  const struct {
    const char* what;
    std::string_view text;
  } labels[] = {
      {"name", manifest.name}, {"version", manifest.version}, {"grid id", manifest.grid_id}};
  for (const auto& [what, text] : labels) {
    if (!is_label(text)) {
      return corrupt(std::string("the ") + what + " is too long or has control characters");
    }
  }
  if (manifest.chat_template.size() > kMaxChatTemplateBytes) {
    return corrupt("the chat template is longer than 64 KiB");
  }
  if (manifest.techniques.size() > kMaxTechniques ||
      !std::all_of(manifest.techniques.begin(), manifest.techniques.end(), is_label)) {
    return corrupt("the list of techniques is too long or has control characters");
  }
  return {};
}

Result<void> check_config(const ModelConfig& config) {
  if (name_of(config.architecture) == "unknown") {
    return unknown("architecture " + std::to_string(static_cast<unsigned>(config.architecture)) +
                   " is not known");
  }
  const struct {
    const char* what;
    std::uint32_t value, max;
  } sizes[] = {{"layers", config.layers, kMaxLayers},
               {"width", config.width, kMaxWidth},
               {"ffn width", config.ffn_width, kMaxFfnWidth},
               {"vocab", config.vocab, kMaxVocab}};
  for (const auto& [what, value, max] : sizes) {
    if (value == 0 || value > max) {
      return corrupt(std::string(what) + " is " + std::to_string(value) + ", not 1 to " +
                     std::to_string(max));
    }
  }
  const bool headless =
      config.architecture == Architecture::kRwkv4 && config.heads == 0 && config.head_size == 0;
  if (!headless && std::uint64_t{config.heads} * config.head_size != config.width) {
    return corrupt(std::to_string(config.heads) + " heads of " + std::to_string(config.head_size) +
                   " do not make the width " + std::to_string(config.width));
  }
  return {};
}

Result<void> check_pages(const std::vector<PageEntry>& pages) {
  if (pages.size() > kMaxPages) return corrupt("there are more than 1048576 pages");
  for (std::size_t i = 0; i < pages.size(); ++i) {
    if (pages[i].bytes == 0 || pages[i].bytes > kMaxPageBytes) {
      return corrupt("page " + std::to_string(i) + " has " + std::to_string(pages[i].bytes) +
                     " bytes, not 1 to 262144");
    }
  }
  std::vector<Digest> digests;
  digests.reserve(pages.size());
  for (const PageEntry& page : pages) digests.push_back(page.digest);
  std::sort(digests.begin(), digests.end());
  if (const auto twin = std::adjacent_find(digests.begin(), digests.end()); twin != digests.end()) {
    return corrupt("page " + twin->short_hex() + " is listed twice");
  }
  return {};
}

Result<void> check_tokenizer(const TokenizerEntry& tokenizer, const std::vector<PageEntry>& pages) {
  if (tokenizer.kind.empty()) {
    if (tokenizer.bytes != 0 || !tokenizer.pages.empty()) {
      return corrupt("the tokenizer has pages but no kind");
    }
    return {};
  }
  if (tokenizer.kind != "rwkv-world") return unknown("this kind of tokenizer is not known");
  std::uint64_t bytes = 0;
  for (const std::uint32_t page : tokenizer.pages) {
    if (page >= pages.size()) {
      return corrupt("the tokenizer uses page " + std::to_string(page) + " of " +
                     std::to_string(pages.size()));
    }
    bytes += pages[page].bytes;
  }
  if (bytes != tokenizer.bytes) {
    return corrupt("the tokenizer's pages hold " + std::to_string(bytes) + " bytes, not " +
                   std::to_string(tokenizer.bytes));
  }
  return {};
}

Result<void> check_shape(const TensorEntry& tensor, const std::string& name) {
  if (tensor.shape.empty() || tensor.shape.size() > kMaxShapeDims) {
    return corrupt(name + " has " + std::to_string(tensor.shape.size()) +
                   " dimensions, not 1 to 4");
  }
  for (const std::uint32_t side : {tensor.rows, tensor.cols}) {
    if (side == 0 || side > kMaxTensorSide) {
      return corrupt(name + " is stored as " + std::to_string(tensor.rows) + " x " +
                     std::to_string(tensor.cols) + ", which is out of bounds");
    }
  }
  const std::uint64_t stored = std::uint64_t{tensor.rows} * tensor.cols;  // at most 2^40
  std::uint64_t elements = 1;
  for (const std::uint32_t side : tensor.shape) {
    if (side == 0 || side > stored) return corrupt(name + " has a shape unlike its stored size");
    elements *= side;
    if (elements > stored) break;
  }
  if (elements != stored) {
    return corrupt(name + " has a shape unlike its stored size");
  }
  if (tensor.transposed && (tensor.shape.size() != 2 || tensor.shape[0] != tensor.cols ||
                            tensor.shape[1] != tensor.rows)) {
    return corrupt(name + " is said to be transposed, but its shape does not fit");
  }
  return {};
}

Result<void> check_segment(const TensorEntry& tensor, const Segment& segment,
                           const std::vector<PageEntry>& pages, const std::string& name) {
  const std::string place = name + "'s segment at row " + std::to_string(segment.first_row) + " ";
  if (segment.page >= pages.size()) {
    return corrupt(place + "lies in page " + std::to_string(segment.page) + " of " +
                   std::to_string(pages.size()));
  }
  if (segment.offset % kSegmentAlignment != 0) {
    return corrupt(place + "does not begin at a multiple of 64");
  }
  if (segment.rows == 0 || segment.rows > tensor.rows - segment.first_row) {
    return corrupt(place + "has " + std::to_string(segment.rows) + " rows");
  }
  const bool last = segment.first_row + segment.rows == tensor.rows;
  if (tensor.layout == Layout::kTiles && !last && segment.rows % kTileRows != 0) {
    return corrupt(place + "ends inside a tile of 16 rows");
  }
  const std::uint64_t bytes = stored_bytes(tensor.format, tensor.layout, segment.rows, tensor.cols);
  if (segment.offset + bytes > pages[segment.page].bytes) {
    return corrupt(place + "does not fit into page " + std::to_string(segment.page));
  }
  return {};
}

Result<void> check_tensor(const TensorEntry& tensor, const std::vector<PageEntry>& pages) {
  const std::string name = "tensor " + tensor.name;
  if (name_of(tensor.format) == "unknown" || name_of(tensor.layout) == "unknown") {
    return unknown(name + " is stored in a format or layout that is not known");
  }
  TRY_VOID(check_shape(tensor, name));
  std::uint32_t row = 0;
  for (const Segment& segment : tensor.segments) {
    if (segment.first_row != row || row >= tensor.rows) {
      return corrupt(name + "'s segments do not follow one another at row " + std::to_string(row));
    }
    TRY_VOID(check_segment(tensor, segment, pages, name));
    row += segment.rows;
  }
  if (row != tensor.rows) {
    return corrupt(name + " has " + std::to_string(row) + " of its " + std::to_string(tensor.rows) +
                   " rows");
  }
  return {};
}

Result<void> check_names(const std::vector<TensorEntry>& tensors) {
  if (tensors.size() > kMaxTensors) return corrupt("there are more than 65536 tensors");
  std::vector<std::string_view> names;
  names.reserve(tensors.size());
  for (const TensorEntry& tensor : tensors) {
    if (tensor.name.empty() || !is_label(tensor.name)) {
      return corrupt("a tensor's name is empty, too long or has control characters");
    }
    names.emplace_back(tensor.name);
  }
  std::sort(names.begin(), names.end());
  if (const auto twin = std::adjacent_find(names.begin(), names.end()); twin != names.end()) {
    return corrupt("tensor " + std::string(*twin) + " is listed twice");
  }
  return {};
}

}  // namespace

Result<void> check_manifest(const Manifest& manifest) {
  const bool reorders = find_tensor(manifest, kHeadOrder) != nullptr;
  if (manifest.format_version != (reorders ? 2 : 1)) {
    return unknown("the manifest has format version " + std::to_string(manifest.format_version));
  }
  TRY_VOID(check_labels(manifest));
  TRY_VOID(check_config(manifest.config));
  TRY_VOID(check_pages(manifest.pages));
  TRY_VOID(check_tokenizer(manifest.tokenizer, manifest.pages));
  TRY_VOID(check_names(manifest.tensors));
  for (const TensorEntry& tensor : manifest.tensors) {
    TRY_VOID(check_tensor(tensor, manifest.pages));
  }
  return {};
}

}  // namespace skein::internal
