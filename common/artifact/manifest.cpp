#include "common/artifact/manifest.h"

#include <capnp/message.h>
#include <kj/exception.h>

#include <algorithm>

#include "common/artifact/internal/check_manifest.h"
#include "common/crypto/sha256.h"
#include "schemas/artifact.capnp.h"

namespace skein {

namespace {

// Manifest > tensors > tensor > segments is as deep as it goes.
constexpr int kMaxNesting = 8;
// Asking for a list charges its size again each time, and isCanonical() asks too.
constexpr std::uint64_t kTraversalFactor = 8;

tl::unexpected<Error> corrupt(std::string what) {
  return fail(Errc::kCorrupt, std::move(what), "manifest", "fetch the artifact again");
}

kj::ArrayPtr<const kj::byte> data_of(ByteView bytes) {
  return {reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size()};
}

void write_config(schema::Config::Builder out, const ModelConfig& config) {
  out.setArchitecture(static_cast<std::uint8_t>(config.architecture));
  out.setLayers(config.layers);
  out.setWidth(config.width);
  out.setHeads(config.heads);
  out.setHeadSize(config.head_size);
  out.setFfnWidth(config.ffn_width);
  out.setVocab(config.vocab);
}

ModelConfig read_config(schema::Config::Reader in) {
  return {.architecture = static_cast<Architecture>(in.getArchitecture()),
          .layers = in.getLayers(),
          .width = in.getWidth(),
          .heads = in.getHeads(),
          .head_size = in.getHeadSize(),
          .ffn_width = in.getFfnWidth(),
          .vocab = in.getVocab()};
}

unsigned list_size(std::size_t size) {
  CHECK(size < (1U << 29));
  return static_cast<unsigned>(size);
}

template <class List>
void write_numbers(List out, const std::vector<std::uint32_t>& numbers) {
  for (unsigned i = 0; i < out.size(); ++i) out.set(i, numbers[i]);
}

std::vector<std::uint32_t> read_numbers(capnp::List<std::uint32_t>::Reader in) {
  std::vector<std::uint32_t> numbers;
  numbers.reserve(in.size());
  for (const std::uint32_t number : in) numbers.push_back(number);
  return numbers;
}

std::string read_text(capnp::Text::Reader in) { return {in.cStr(), in.size()}; }

void write_tensor(schema::Tensor::Builder out, const TensorEntry& tensor) {
  if (!tensor.name.empty()) out.setName(tensor.name);
  if (const unsigned size = list_size(tensor.shape.size()); size > 0) {
    write_numbers(out.initShape(size), tensor.shape);
  }
  out.setFormat(static_cast<std::uint8_t>(tensor.format));
  out.setLayout(static_cast<std::uint8_t>(tensor.layout));
  out.setTransposed(tensor.transposed);
  out.setRows(tensor.rows);
  out.setCols(tensor.cols);
  const unsigned count = list_size(tensor.segments.size());
  if (count == 0) return;
  auto segments = out.initSegments(count);
  for (unsigned i = 0; i < count; ++i) {
    const Segment& segment = tensor.segments[i];
    segments[i].setPage(segment.page);
    segments[i].setOffset(segment.offset);
    segments[i].setFirstRow(segment.first_row);
    segments[i].setRows(segment.rows);
  }
}

TensorEntry read_tensor(schema::Tensor::Reader in) {
  TensorEntry tensor{.name = read_text(in.getName()),
                     .shape = read_numbers(in.getShape()),
                     .format = static_cast<Format>(in.getFormat()),
                     .layout = static_cast<Layout>(in.getLayout()),
                     .transposed = in.getTransposed(),
                     .rows = in.getRows(),
                     .cols = in.getCols(),
                     .segments = {}};
  tensor.segments.reserve(in.getSegments().size());
  for (const auto segment : in.getSegments()) {
    tensor.segments.push_back(
        {segment.getPage(), segment.getOffset(), segment.getFirstRow(), segment.getRows()});
  }
  return tensor;
}

void write_tokenizer(schema::Manifest::Builder out, const TokenizerEntry& tokenizer) {
  auto entry = out.initTokenizer();
  if (!tokenizer.kind.empty()) entry.setKind(tokenizer.kind);
  entry.setBytes(tokenizer.bytes);
  if (const unsigned size = list_size(tokenizer.pages.size()); size > 0) {
    write_numbers(entry.initPages(size), tokenizer.pages);
  }
}

void write_page(schema::Page::Builder out, const PageEntry& page) {
  const ByteView digest = page.digest.bytes;
  out.setDigest0(load_le<std::uint64_t>(digest, 0));
  out.setDigest1(load_le<std::uint64_t>(digest, 8));
  out.setDigest2(load_le<std::uint64_t>(digest, 16));
  out.setDigest3(load_le<std::uint64_t>(digest, 24));
  out.setBytes(page.bytes);
}

PageEntry read_page(schema::Page::Reader in) {
  PageEntry page{.digest = {}, .bytes = in.getBytes()};
  const MutableByteView digest = page.digest.bytes;
  store_le(digest, 0, in.getDigest0());
  store_le(digest, 8, in.getDigest1());
  store_le(digest, 16, in.getDigest2());
  store_le(digest, 24, in.getDigest3());
  return page;
}

// What is empty is left out, so that a field added later changes no older manifest's bytes.
void write_manifest(schema::Manifest::Builder out, const Manifest& manifest) {
  out.setFormatVersion(manifest.format_version);
  if (!manifest.name.empty()) out.setName(manifest.name);
  if (!manifest.version.empty()) out.setVersion(manifest.version);
  write_config(out.initConfig(), manifest.config);
  if (manifest.tokenizer != TokenizerEntry{}) write_tokenizer(out, manifest.tokenizer);
  if (!manifest.chat_template.empty()) out.setChatTemplate(manifest.chat_template);
  if (!manifest.grid_id.empty()) out.setGridId(manifest.grid_id);
  if (manifest.parent) out.setParent(data_of(manifest.parent->bytes));
  if (const unsigned size = list_size(manifest.techniques.size()); size > 0) {
    auto techniques = out.initTechniques(size);
    for (unsigned i = 0; i < size; ++i) techniques.set(i, manifest.techniques[i]);
  }
  if (const unsigned size = list_size(manifest.tensors.size()); size > 0) {
    auto tensors = out.initTensors(size);
    for (unsigned i = 0; i < size; ++i) write_tensor(tensors[i], manifest.tensors[i]);
  }
  if (const unsigned size = list_size(manifest.pages.size()); size > 0) {
    auto pages = out.initPages(size);
    for (unsigned i = 0; i < size; ++i) write_page(pages[i], manifest.pages[i]);
  }
}

// Sizes are safe to reserve by: the message is canonical, so every list lies in its own bytes.
Result<Manifest> read_manifest(schema::Manifest::Reader in) {
  if (in.getTensors().size() > kMaxTensors) return corrupt("there are more than 65536 tensors");
  if (in.getPages().size() > kMaxPages) return corrupt("there are more than 1048576 pages");
  if (in.getTechniques().size() > internal::kMaxTechniques) {
    return corrupt("there are more than 64 techniques");
  }
  Manifest manifest;
  manifest.format_version = in.getFormatVersion();
  manifest.name = read_text(in.getName());
  manifest.version = read_text(in.getVersion());
  manifest.config = read_config(in.getConfig());
  manifest.tokenizer = {read_text(in.getTokenizer().getKind()), in.getTokenizer().getBytes(),
                        read_numbers(in.getTokenizer().getPages())};
  manifest.chat_template = read_text(in.getChatTemplate());
  manifest.grid_id = read_text(in.getGridId());
  if (in.hasParent()) {
    const auto parent = in.getParent();
    manifest.parent = Digest::from_bytes(std::as_bytes(std::span(parent.begin(), parent.size())));
    if (!manifest.parent) return corrupt("the parent's digest does not have 32 bytes");
  }
  for (const auto technique : in.getTechniques()) {
    manifest.techniques.push_back(read_text(technique));
  }
  manifest.tensors.reserve(in.getTensors().size());
  for (const auto tensor : in.getTensors()) manifest.tensors.push_back(read_tensor(tensor));
  manifest.pages.reserve(in.getPages().size());
  for (const auto page : in.getPages()) manifest.pages.push_back(read_page(page));
  return manifest;
}

// `words` is aligned. Canonical form is demanded before anything is read: it leaves no room for
// pointers that share a target, so what is read is never larger than what was sent.
Result<Manifest> parse_words(kj::ArrayPtr<const capnp::word> words) {
  const kj::ArrayPtr<const capnp::word> segments[] = {words};
  capnp::ReaderOptions limits;
  limits.traversalLimitInWords = kTraversalFactor * words.size() + 64;
  limits.nestingLimit = kMaxNesting;
  try {
    capnp::SegmentArrayMessageReader canonical(kj::arrayPtr(segments, 1), limits);
    if (!canonical.isCanonical()) return corrupt("the manifest is not in canonical form");
    capnp::SegmentArrayMessageReader message(kj::arrayPtr(segments, 1), limits);
    return read_manifest(message.getRoot<schema::Manifest>());
  } catch (const kj::Exception&) {
    return corrupt("the manifest is not a Cap'n Proto message");
  }
}

}  // namespace

Buffer encode_manifest(const Manifest& manifest) {
  capnp::MallocMessageBuilder message;
  write_manifest(message.initRoot<schema::Manifest>(), manifest);
  const kj::Array<capnp::word> words =
      capnp::canonicalize(message.getRoot<schema::Manifest>().asReader());
  const auto bytes = words.asBytes();
  return to_buffer(std::as_bytes(std::span(bytes.begin(), bytes.size())));
}

Result<Manifest> decode_manifest(ByteView bytes) {
  if (bytes.empty() || bytes.size() > kMaxManifestBytes ||
      bytes.size() % sizeof(capnp::word) != 0) {
    return corrupt("a manifest of " + std::to_string(bytes.size()) + " bytes is not possible");
  }
  kj::Array<capnp::word> words = kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word));
  std::memcpy(words.begin(), bytes.data(), bytes.size());
  TRY(Manifest manifest, parse_words(words));
  TRY_VOID(internal::check_manifest(manifest));
  // Canonical, but with bits that no field of ours accounts for.
  if (!std::ranges::equal(encode_manifest(manifest), bytes)) {
    return fail(Errc::kUnsupported, "the manifest holds fields that are not known", "manifest",
                "use a newer Skein");
  }
  return manifest;
}

Digest manifest_digest(ByteView encoded_manifest) { return sha256(encoded_manifest); }

bool have_same_vocabulary(const Manifest& one, const Manifest& other) {
  const TokenizerEntry& entry = one.tokenizer;
  if (entry.kind.empty() || entry.kind != other.tokenizer.kind) return false;
  const auto is_same = [&](std::uint32_t page, std::uint32_t others) {
    return page < one.pages.size() && others < other.pages.size() &&
           one.pages[page] == other.pages[others];
  };
  return entry.bytes == other.tokenizer.bytes &&
         std::ranges::equal(entry.pages, other.tokenizer.pages, is_same);
}

const TensorEntry* find_tensor(const Manifest& manifest, std::string_view name) {
  const auto found =
      std::find_if(manifest.tensors.begin(), manifest.tensors.end(),
                   [name](const TensorEntry& tensor) { return tensor.name == name; });
  return found == manifest.tensors.end() ? nullptr : &*found;
}

}  // namespace skein
