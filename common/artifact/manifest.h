// Manifest: what an artifact holds, by content hash, signed as one. Value; any thread.
//
// An artifact is a manifest plus its pages. A page is 1 byte to kMaxPageBytes of stored weights,
// named by its SHA-256; a tensor is a list of segments, each a run of whole stored rows inside one
// page (kernels/ops/format.h gives the layouts). Small vectors share a page; a matrix is cut into
// row groups. Segments start at multiples of 64 bytes inside their page, so a mapped page is
// computed on in place. The byte format: schemas/artifact.capnp and schemas/README.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/artifact/model_config.h"
#include "common/base/bytes.h"
#include "common/base/digest.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/crypto/ed25519.h"
#include "kernels/ops/format.h"

namespace skein {

inline constexpr std::uint32_t kTargetPageBytes = 128 * 1024;  // row groups aim at this
inline constexpr std::uint32_t kMaxPageBytes =
    256 * 1024;  // a single stored tile/row may not exceed it
inline constexpr std::uint32_t kSegmentAlignment = 64;
inline constexpr std::uint32_t kMaxPages = 1U << 20;
inline constexpr std::uint32_t kMaxTensors = 1U << 16;
inline constexpr std::uint32_t kMaxManifestBytes = 64U << 20;

struct PageEntry {
  Digest digest;
  std::uint32_t bytes = 0;
  friend bool operator==(const PageEntry&, const PageEntry&) = default;
};

struct Segment {
  std::uint32_t page = 0;       // index into Manifest::pages
  std::uint32_t offset = 0;     // within the page, multiple of 64
  std::uint32_t first_row = 0;  // of the stored matrix
  std::uint32_t rows = 0;
  friend bool operator==(const Segment&, const Segment&) = default;
};

struct TensorEntry {
  std::string name;                  // official RWKV name, e.g. "blocks.0.att.receptance.weight"
  std::vector<std::uint32_t> shape;  // as in the checkpoint, e.g. {1, 1, 256}
  Format format = Format::kF32;
  Layout layout = Layout::kRows;
  bool transposed = false;  // stored as the transpose of the checkpoint's 2-d shape
  std::uint32_t rows = 0;   // of the stored matrix (vectors: 1)
  std::uint32_t cols = 0;
  std::vector<Segment> segments;  // in row order, covering [0, rows) without gap or overlap
  friend bool operator==(const TensorEntry&, const TensorEntry&) = default;
};

// Below "blocks.N.": what none of the scales of a quantized channel-mix value row exceeds, bf16
// (ffn_width); see kernels/ops/neurons.h. Not of the checkpoint, made with the artifact. Optional:
// without it a model finds the bounds when it opens.
inline constexpr std::string_view kValueBounds = "ffn.value.bounds";
// Likewise optional and made with the artifact: of each neuron, the value below which it counts as
// silent (ffn_width, any plain format), and the parts of the predictor of which neurons will fire
// (common/predict/README.md).
inline constexpr std::string_view kValueThresholds = "ffn.value.thresholds";
inline constexpr std::string_view kPredictorParts = ".ffn.predictor.";
// What spares reading all of the head (common/model/README.md).
inline constexpr std::string_view kHeadScreen = "head.screen.";
inline constexpr std::string_view kHeadClusters = "head.clusters.";
inline bool is_derived(std::string_view tensor) {
  return tensor.starts_with(kHeadScreen) || tensor.starts_with(kHeadClusters) ||
         tensor.ends_with(kValueBounds) || tensor.ends_with(kValueThresholds) ||
         tensor.find(kPredictorParts) != std::string_view::npos;
}

// After the name of a matrix (width, width) of time mixing: its factors (width, rank) and (rank,
// width), whose product is added to it or, where it is not stored, stands for it.
inline constexpr std::string_view kLeftFactor = ".left";
inline constexpr std::string_view kRightFactor = ".right";

// One value, 1, in the place of blocks.0.ln0: the rows of emb.weight are normed already (ln0 of the
// rows that the checkpoint had).
inline constexpr std::string_view kNormedEmbedding = "emb.normed";
// Row i of head.weight is that of token head.order[i] (vocab, f32). A manifest with it has format
// version 2: who does not know it would answer nonsense.
inline constexpr std::string_view kHeadOrder = "head.order";

// The vocabulary travels as ordinary pages: its file's bytes, cut into runs of kTargetPageBytes.
struct TokenizerEntry {
  std::string kind;  // "rwkv-world": vocabulary file, greedy longest match; "" = none
  std::uint64_t bytes = 0;
  std::vector<std::uint32_t> pages;
  friend bool operator==(const TokenizerEntry&, const TokenizerEntry&) = default;
};

struct Manifest {
  std::uint32_t format_version = 1;
  std::string name;     // for people: "skein-ref"
  std::string version;  // for people: "v2"
  ModelConfig config;
  TokenizerEntry tokenizer;
  std::string chat_template;            // empty = RWKV World's "User: ...\n\nAssistant:"
  std::string grid_id;                  // quantization grid (issue 5 freezes it); "" = unquantized
  std::optional<Digest> parent;         // manifest this one was made from
  std::vector<std::string> techniques;  // what was done to it: "q8", "state-tuning"
  std::vector<TensorEntry> tensors;     // in order of first use
  std::vector<PageEntry> pages;         // each distinct page once, in order of first use
  friend bool operator==(const Manifest&, const Manifest&) = default;
};

// The exact bytes that are hashed and signed. Deterministic: equal manifests, equal bytes.
Buffer encode_manifest(const Manifest& manifest);
// Checks everything that can be checked without the pages: limits, segments against pages and
// shapes, coverage, alignment, sizes by stored_bytes. Errc::kCorrupt / kUnsupported, naming the
// tensor or page.
Result<Manifest> decode_manifest(ByteView bytes);
// The artifact's identity: SHA-256 of encode_manifest's bytes.
Digest manifest_digest(ByteView encoded_manifest);

// Whether both have a vocabulary, and its pages are the same bytes.
bool have_same_vocabulary(const Manifest& one, const Manifest& other);
const TensorEntry* find_tensor(const Manifest& manifest, std::string_view name);  // or nullptr

// A manifest as it travels and is kept: its exact bytes and who vouches for them.
struct SignedManifest {
  Buffer bytes;           // as encode_manifest made them
  PublicKey signer{};     // all zero = unsigned; otherwise only a hint, never trusted by itself
  Signature signature{};  // Ed25519 over `bytes`; all zero when unsigned
  bool is_signed() const { return signer != PublicKey{}; }
  Digest digest() const { return manifest_digest(bytes); }
  friend bool operator==(const SignedManifest&, const SignedManifest&) = default;
};
SignedManifest sign_manifest(const Manifest& manifest, const std::optional<SigningKey>& key);
// Errc::kRefused: unsigned, signed by another key, or not matching.
Result<void> verify_signature(const SignedManifest& manifest, const PublicKey& trusted);
// One blob for the chunk store and the wire. Decoding checks the frame only, not the manifest.
Buffer encode_signed_manifest(const SignedManifest& manifest);
Result<SignedManifest> decode_signed_manifest(ByteView blob);

}  // namespace skein
