// Messages: what devices and the coordinator say to each other, as plain checked structs. Values.
// wire/ turns bytes into these and back; no capnp type is seen past it. Requests come from the
// device (which dials); names of devices come from certificates, never from messages.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/digest.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/crypto/ed25519.h"

namespace skein {

inline constexpr std::size_t kMaxText = 4096;  // any string in a message, bytes
inline constexpr std::size_t kMaxPem = 16 * 1024;
inline constexpr std::size_t kMaxLabels = 64;
inline constexpr std::size_t kMaxStepReports = 16;
inline constexpr std::size_t kMaxPagesPerFetch = 256;
inline constexpr std::size_t kMaxSplitTokens = 256;  // per step message
inline constexpr std::size_t kMaxPayloadBytes = 1U << 20;
inline constexpr std::size_t kMaxMessageBytes = 1U << 20;  // encoded

// ---- control.capnp ----
// Device step of a rollout; numbers travel: never renumber.
enum class DeviceStep : std::uint8_t {
  kPending = 1,
  kOffered = 2,
  kDownloading = 3,
  kStaged = 4,
  kEvaluating = 5,
  kCommitted = 6,
  kFailed = 7,
  kRolledBack = 8,
};

struct EnrolRequest {  // the only request an unauthenticated peer may make
  std::string token;
  std::string device_name;  // for people
  std::string signing_request_pem;
  friend bool operator==(const EnrolRequest&, const EnrolRequest&) = default;
};
struct EnrolReply {
  DeviceId device{};
  std::string certificate_pem;  // common name "device-<id>"
  std::string authority_pem;
  PublicKey artifact_key{};  // whose signature on manifests to accept
  friend bool operator==(const EnrolReply&, const EnrolReply&) = default;
};

struct Inventory {
  std::string software_version;
  std::string isa;
  std::uint32_t threads = 0;
  std::uint64_t memory_bytes = 0;
  std::uint64_t free_disk_bytes = 0;
  std::vector<std::pair<std::string, std::string>> labels;
  friend bool operator==(const Inventory&, const Inventory&) = default;
};
struct StepReport {
  RolloutId rollout{};
  Digest artifact;
  DeviceStep step = DeviceStep::kPending;
  std::string reason;  // short code and words when failed: "signature: ..."
  std::uint64_t bytes_fetched = 0;
  std::uint32_t pages_fetched = 0;
  friend bool operator==(const StepReport&, const StepReport&) = default;
};
struct Heartbeat {
  Inventory inventory;
  std::optional<Digest> active;
  std::optional<Digest> previous;
  std::uint64_t slot_generation = 0;
  std::vector<StepReport>
      steps;  // what the coordinator has not acknowledged yet; repeated until it has
  friend bool operator==(const Heartbeat&, const Heartbeat&) = default;
};
// Level triggered: repeated at every heartbeat until the device reports it done.
struct UpdateOffer {
  RolloutId rollout{};
  Digest artifact;  // manifest digest
  std::uint64_t total_bytes = 0;
  friend bool operator==(const UpdateOffer&, const UpdateOffer&) = default;
};
struct RoundOffer {
  RoundId round{};
  Digest artifact;  // the base every device trains from
  float learning_rate = 0;
  std::uint32_t epochs = 1;
  std::uint32_t context = 64;    // tokens per backpropagation window
  float clip = 1;                // global norm of the gradient
  std::uint32_t max_tokens = 0;  // 0 = the whole local text
  friend bool operator==(const RoundOffer&, const RoundOffer&) = default;
};
struct HeartbeatReply {
  std::int64_t wall_seconds = 0;
  std::uint32_t interval_ms = 0;
  std::vector<std::pair<RolloutId, DeviceStep>> recorded;  // reports that need not be repeated
  std::optional<UpdateOffer> offer;
  std::optional<RoundOffer> round;
  friend bool operator==(const HeartbeatReply&, const HeartbeatReply&) = default;
};

struct Ack {
  friend bool operator==(const Ack&, const Ack&) = default;
};
struct ErrorReply {
  Error error;
  friend bool operator==(const ErrorReply&, const ErrorReply&) = default;
};

// ---- update.capnp ----
// Answered by ManifestPart parts whose payloads, joined, are the encoded SignedManifest; then Ack.
struct FetchManifest {
  Digest artifact;
  friend bool operator==(const FetchManifest&, const FetchManifest&) = default;
};
struct ManifestPart {
  std::uint64_t offset = 0;
  std::uint64_t total = 0;
  friend bool operator==(const ManifestPart&, const ManifestPart&) = default;
};
// Answered by one PagePart part per page the coordinator has, payload = the page; then Ack.
// `coded`: the asker also takes pages coded (common/coding), each part saying whether it is.
struct FetchPages {
  std::vector<Digest> pages;
  bool coded = false;
  friend bool operator==(const FetchPages&, const FetchPages&) = default;
};
struct PagePart {
  Digest page;  // the hash of the page itself, not of its coded form
  bool coded = false;
  friend bool operator==(const PagePart&, const PagePart&) = default;
};

// ---- split.capnp ----
struct SplitOpen {  // layers [first_layer, end_layer) of `artifact` run on the coordinator
  SessionId session{};
  Digest artifact;
  std::uint32_t first_layer = 0;
  std::uint32_t end_layer = 0;
  friend bool operator==(const SplitOpen&, const SplitOpen&) = default;
};
struct SplitOpened {
  Step next{};  // the step the server expects
  friend bool operator==(const SplitOpened&, const SplitOpened&) = default;
};
// payload: count times (x, v_first), width floats each. step = tokens before this message.
struct SplitStep {
  SessionId session{};
  Step step{};
  std::uint32_t count = 0;
  friend bool operator==(const SplitStep&, const SplitStep&) = default;
};
// payload: count times x after the last of those layers. A repeated step gets the stored reply.
struct SplitResult {
  SessionId session{};
  Step step{};
  std::uint32_t count = 0;
  friend bool operator==(const SplitResult&, const SplitResult&) = default;
};
struct SplitClose {
  SessionId session{};
  friend bool operator==(const SplitClose&, const SplitClose&) = default;
};

// ---- federation.capnp ----
// (round, device from the certificate) names an upload; beginning again with the same content
// resumes.
struct UploadBegin {
  RoundId round{};
  Digest content;           // SHA-256 of the packed update
  std::uint64_t bytes = 0;  // packed
  std::uint64_t raw_bytes = 0;
  std::uint64_t tokens = 0;  // trained on: the FedAvg weight
  double loss_before = 0;    // nats per token on the device's own text
  double loss_after = 0;
  friend bool operator==(const UploadBegin&, const UploadBegin&) = default;
};
struct UploadChunk {  // payload: bytes at offset
  RoundId round{};
  std::uint64_t offset = 0;
  friend bool operator==(const UploadChunk&, const UploadChunk&) = default;
};
struct UploadStatus {
  std::uint64_t have_bytes = 0;
  bool complete = false;  // verified and counted, once
  friend bool operator==(const UploadStatus&, const UploadStatus&) = default;
};

using Message =
    std::variant<EnrolRequest, EnrolReply, Heartbeat, HeartbeatReply, Ack, ErrorReply,
                 FetchManifest, ManifestPart, FetchPages, PagePart, SplitOpen, SplitOpened,
                 SplitStep, SplitResult, SplitClose, UploadBegin, UploadChunk, UploadStatus>;

// The number that travels in the frame header; stable, independent of the variant's order.
std::uint16_t type_of(const Message& message);
std::string_view name_of(const Message& message);
// Cap'n Proto bytes. The message keeps its own limits (CHECKed: our side made it); only words for
// people (reasons, error texts) are made UTF-8 and cut to kMaxText here, as they may quote
// anything.
Buffer encode_message(const Message& message);
// Errc::kCorrupt (not the schema, over a limit, bad enum, NaN where a number is meant) or
// kUnsupported (unknown type). Bounded time and memory for any bytes.
Result<Message> decode_message(std::uint16_t type, ByteView bytes);

}  // namespace skein
