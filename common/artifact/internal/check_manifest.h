// What a manifest must satisfy beyond being readable. Pure; any thread.
#pragma once

#include "common/artifact/manifest.h"

namespace skein::internal {

inline constexpr std::size_t kMaxLabelBytes = 256;  // names, versions, grid ids, techniques
inline constexpr std::size_t kMaxChatTemplateBytes = 64U << 10;
inline constexpr std::size_t kMaxTechniques = 64;
inline constexpr std::size_t kMaxShapeDims = 4;
inline constexpr std::uint32_t kMaxTensorSide = 1U << 20;  // rows or columns as stored

// Errc::kCorrupt / kUnsupported, naming the tensor or page. Enumerations may hold any number.
Result<void> check_manifest(const Manifest& manifest);

}  // namespace skein::internal
