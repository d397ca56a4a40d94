#include "common/convert/convert.h"

#include <algorithm>

#include "common/convert/internal/page_packer.h"

namespace skein {
namespace {

using internal::PageMemory;
using internal::PagePacker;
using internal::TensorPlan;

void note_technique(Manifest& manifest, std::string technique) {
  const bool listed =
      std::ranges::find(manifest.techniques, technique) != manifest.techniques.end();
  if (technique.empty() || listed) return;
  manifest.techniques.push_back(std::move(technique));
}

class PagesInMemory final : public MemoryArtifact {
 public:
  const Manifest& manifest() const override { return manifest_; }
  Result<ByteView> page(PageIndex index) override {
    if (index.value() >= pages_.size()) {
      return fail(Errc::kNotFound, "there is no page " + std::to_string(index.value()),
                  "artifact in memory", "ask for a page that its manifest lists");
    }
    return page_bytes(index);
  }
  ByteView page_bytes(PageIndex index) const override {
    CHECK(index.value() < pages_.size());
    return pages_[index.value()].bytes();
  }
  void note(std::string technique) override {
    const auto first_word = [](std::string_view text) { return text.substr(0, text.find(' ')); };
    const std::string word(first_word(technique));
    std::erase_if(manifest_.techniques,
                  [&](const std::string& other) { return first_word(other) == word; });
    note_technique(manifest_, std::move(technique));
  }
  void set_name(std::string name) override { manifest_.name = std::move(name); }

  Manifest manifest_;
  std::vector<PageMemory> pages_;
};

std::string technique_of(Precision precision) {
  if (precision == Precision::kKeep) return "";
  return std::string(name_of(internal::format_of(precision)));
}

// How weights are rounded: artifacts of one grid can be compared code by code.
std::string grid_of(Precision precision) {
  if (precision == Precision::kKeep) return "";
  const Format format = internal::format_of(precision);
  if (!is_quantized(format)) return "";
  return std::string(name_of(format)) + (format == Format::kQ8 ? "-g32-sym-v1" : "-g32-zero-v1");
}

// Copies base's pages, except those that only replaced tensors used, and renumbers.
Result<void> carry_over(PageSource& base, std::span<const CheckpointTensor> replaced,
                        Manifest& manifest, PagePacker& packer) {
  const Manifest& old = base.manifest();
  std::vector<bool> used(old.pages.size(), false);
  const auto use = [&](std::uint32_t page) {
    CHECK(page < used.size());  // a manifest that was decoded or made here
    used[page] = true;
  };
  std::ranges::for_each(old.tokenizer.pages, use);
  for (const TensorEntry& tensor : old.tensors) {
    const auto twin = std::ranges::find(replaced, tensor.name, &CheckpointTensor::name);
    if (twin != replaced.end()) continue;
    manifest.tensors.push_back(tensor);
    for (const Segment& segment : tensor.segments) use(segment.page);
  }
  std::vector<std::uint32_t> renumbered(old.pages.size(), 0);
  for (std::uint32_t i = 0; i < old.pages.size(); ++i) {
    if (!used[i]) continue;
    TRY(const ByteView bytes, base.page(PageIndex(i)));
    const Digest& digest = old.pages[i].digest;
    TRY(renumbered[i], packer.add_page(bytes, digest.is_zero() ? nullptr : &digest));
  }
  for (std::uint32_t& page : manifest.tokenizer.pages) page = renumbered[page];
  for (TensorEntry& tensor : manifest.tensors) {
    for (Segment& segment : tensor.segments) segment.page = renumbered[segment.page];
  }
  return {};
}

Result<void> check_replacement(const Manifest& base, const CheckpointTensor& tensor) {
  const TensorEntry* old = find_tensor(base, tensor.name);
  if (old == nullptr || old->shape == tensor.shape) return {};
  return fail(Errc::kUsage, "the new tensor has another shape than the one it replaces",
              tensor.name, "give it the shape that the artifact has");
}

}  // namespace

Result<std::unique_ptr<MemoryArtifact>> convert(const Checkpoint& checkpoint,
                                                const ConvertOptions& options) {
  auto artifact = std::make_unique<PagesInMemory>();
  Manifest& manifest = artifact->manifest_;
  TRY(manifest.config, find_config(checkpoint));
  TRY(const std::vector<TensorPlan> plans,
      internal::plan_tensors(checkpoint.tensors, options.precision, options.encoder));
  manifest.name = options.name;
  manifest.version = options.version;
  manifest.grid_id = options.grid_id.empty() ? grid_of(options.precision) : options.grid_id;
  manifest.techniques = options.techniques;
  if (options.techniques.empty()) note_technique(manifest, technique_of(options.precision));

  PagePacker packer(manifest, artifact->pages_, options.hash_pages, options.encoder);
  if (!options.vocabulary.empty()) {
    TRY_VOID(packer.add_vocabulary(options.vocabulary));
  }
  for (const TensorPlan& plan : plans) {
    TRY_VOID(packer.add_tensor(plan));
  }
  if (options.encoder != nullptr) {
    TRY(const std::vector<TensorPlan> made,
        internal::plan_tensors(options.encoder->made(), Precision::kQ8));
    for (const TensorPlan& plan : made) {
      TRY_VOID(packer.add_tensor(plan));
    }
  }
  TRY_VOID(packer.finish());
  return artifact;
}

Result<std::unique_ptr<MemoryArtifact>> with_tensors(PageSource& base,
                                                     std::span<const CheckpointTensor> tensors,
                                                     std::string version, std::string technique,
                                                     const std::optional<Digest>& parent,
                                                     MatrixEncoder* encoder) {
  auto artifact = std::make_unique<PagesInMemory>();
  Manifest& manifest = artifact->manifest_;
  manifest = base.manifest();
  manifest.version = std::move(version);
  if (parent) manifest.parent = parent;
  manifest.tensors.clear();
  manifest.pages.clear();
  note_technique(manifest, std::move(technique));

  PagePacker packer(manifest, artifact->pages_, /*hash_pages=*/true, encoder);
  TRY_VOID(carry_over(base, tensors, manifest, packer));
  for (const CheckpointTensor& tensor : tensors) {
    TRY_VOID(check_replacement(base.manifest(), tensor));
  }
  TRY(const std::vector<TensorPlan> plans,
      internal::plan_tensors(tensors, Precision::kKeep, encoder, internal::Derived::kKept));
  for (const TensorPlan& plan : plans) {
    TRY_VOID(packer.add_tensor(plan));
  }
  TRY_VOID(packer.finish());
  manifest.format_version = find_tensor(manifest, kHeadOrder) != nullptr ? 2 : 1;
  return artifact;
}

Result<TensorEntry> stored_form(const CheckpointTensor& tensor) {
  TRY(const TensorPlan plan, internal::plan_tensor(tensor, Precision::kKeep));
  return internal::entry_of(plan);
}

Result<std::vector<float>> stored_values(const CheckpointTensor& tensor) {
  TRY(const TensorPlan plan, internal::plan_tensor(tensor, Precision::kKeep));
  return internal::stored_values(plan);
}

bool can_be_quantized(std::string_view tensor, std::span<const std::uint32_t> shape) {
  return internal::can_be_quantized(internal::place_in_model(tensor).role, shape);
}

}  // namespace skein
