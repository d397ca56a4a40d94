// Saved form, little-endian: magic "SKST", u32 version, the seven u32 of ModelConfig, 32 bytes of
// artifact digest, u64 step, u64 count, count floats, SHA-256 of all before it.
#include "common/model/state.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "common/base/check.h"
#include "common/crypto/sha256.h"

namespace skein {
namespace {

constexpr std::uint32_t kMagic = 0x54534B53;  // "SKST"
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kConfigAt = 8;
constexpr std::size_t kConfigNumbers = 7;
constexpr std::size_t kDigestAt = kConfigAt + kConfigNumbers * 4;
constexpr std::size_t kStepAt = kDigestAt + 32;
constexpr std::size_t kCountAt = kStepAt + 8;
constexpr std::size_t kFloatsAt = kCountAt + 8;
constexpr std::size_t kSumBytes = 32;

std::array<std::uint32_t, kConfigNumbers> numbers_of(const ModelConfig& config) {
  return {static_cast<std::uint32_t>(config.architecture),
          config.layers,
          config.width,
          config.heads,
          config.head_size,
          config.ffn_width,
          config.vocab};
}

tl::unexpected<Error> damaged(std::string what) {
  return fail(Errc::kCorrupt, std::move(what), "saved state", "save it again from its session");
}

}  // namespace

RwkvState::RwkvState(const ModelConfig& config) : config_(config) {
  floats_.resize(config.layers * layer_floats());
  if (config.architecture != Architecture::kRwkv4) return;
  for (std::uint32_t layer = 0; layer < config.layers; ++layer) {
    std::ranges::fill(wkv(LayerIndex(layer)).last(config.width), kNoExponent);
  }
}

std::size_t RwkvState::wkv_floats() const {
  if (config_.architecture == Architecture::kRwkv4) return std::size_t{3} * config_.width;
  return std::size_t{config_.heads} * config_.head_size * config_.head_size;
}

std::size_t RwkvState::layer_floats() const {
  return std::size_t{2} * config_.width + wkv_floats();
}

std::span<const float> RwkvState::time_mix_shift(LayerIndex layer) const {
  CHECK(layer.value() < config_.layers);
  return std::span(floats_).subspan(layer.value() * layer_floats(), config_.width);
}
std::span<const float> RwkvState::channel_mix_shift(LayerIndex layer) const {
  CHECK(layer.value() < config_.layers);
  return std::span(floats_).subspan(layer.value() * layer_floats() + config_.width, config_.width);
}
std::span<const float> RwkvState::wkv(LayerIndex layer) const {
  CHECK(layer.value() < config_.layers);
  const std::size_t shifts = std::size_t{2} * config_.width;
  return std::span(floats_).subspan(layer.value() * layer_floats() + shifts, wkv_floats());
}

namespace {
std::span<float> writable(std::span<const float> view) {
  return {const_cast<float*>(view.data()), view.size()};  // the caller owns the state mutably
}
}  // namespace

std::span<float> RwkvState::time_mix_shift(LayerIndex layer) {
  return writable(std::as_const(*this).time_mix_shift(layer));
}
std::span<float> RwkvState::channel_mix_shift(LayerIndex layer) {
  return writable(std::as_const(*this).channel_mix_shift(layer));
}
std::span<float> RwkvState::layer(LayerIndex layer) {
  CHECK(layer.value() < config_.layers);
  return std::span(floats_).subspan(layer.value() * layer_floats(), layer_floats());
}
std::span<float> RwkvState::wkv(LayerIndex layer) {
  return writable(std::as_const(*this).wkv(layer));
}

Buffer RwkvState::save(const Digest& artifact) const {
  const ByteView floats = std::as_bytes(std::span(floats_));
  Buffer out;
  out.reserve(kFloatsAt + floats.size() + kSumBytes);
  append_le(out, kMagic);
  append_le(out, kVersion);
  for (const std::uint32_t number : numbers_of(config_)) append_le(out, number);
  append(out, artifact.bytes);
  append_le(out, step.value());
  append_le(out, std::uint64_t{floats_.size()});
  append(out, floats);
  append(out, sha256(out).bytes);
  return out;
}

Result<RwkvState> RwkvState::restore(ByteView bytes, const ModelConfig& config,
                                     const Digest& artifact) {
  if (bytes.size() < kFloatsAt + kSumBytes) return damaged("too short");
  if (load_le<std::uint32_t>(bytes, 0) != kMagic) return damaged("not a Skein state");
  if (load_le<std::uint32_t>(bytes, 4) != kVersion) {
    return fail(Errc::kUnsupported, "state version is not 1", "saved state",
                "use the Skein release that saved it");
  }
  const ByteView summed = bytes.first(bytes.size() - kSumBytes);
  const Digest sum = sha256(summed);
  if (std::memcmp(sum.bytes.data(), bytes.last(kSumBytes).data(), kSumBytes) != 0) {
    return damaged("checksum differs");
  }
  RwkvState state(config);
  const auto numbers = numbers_of(config);
  const bool same_model =
      std::memcmp(bytes.data() + kConfigAt, numbers.data(), sizeof numbers) == 0 &&
      std::memcmp(bytes.data() + kDigestAt, artifact.bytes.data(), artifact.bytes.size()) == 0;
  if (!same_model) {
    return fail(Errc::kConflict, "the state belongs to another model", "saved state",
                "restore it with the artifact it was saved with");
  }
  const ByteView floats = summed.subspan(kFloatsAt);
  if (load_le<std::uint64_t>(bytes, kCountAt) != state.floats_.size() ||
      floats.size() != state.floats_.size() * sizeof(float)) {
    return damaged("length does not fit the model");
  }
  std::memcpy(state.floats_.data(), floats.data(), floats.size());
  if (!std::ranges::all_of(state.floats_, [](float x) { return std::isfinite(x); })) {
    return damaged("it holds a NaN or an infinity");
  }
  state.step = Step(load_le<std::uint64_t>(bytes, kStepAt));
  return state;
}

bool operator==(const RwkvState& a, const RwkvState& b) {
  return a.config_ == b.config_ && a.step == b.step && a.floats_.size() == b.floats_.size() &&
         (a.floats_.empty() ||
          std::memcmp(a.floats_.data(), b.floats_.data(), a.floats_.size() * sizeof(float)) == 0);
}

}  // namespace skein
