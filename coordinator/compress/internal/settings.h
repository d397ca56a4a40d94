// What `skein compress --set technique.key=value` may say. Private to the room; pure, any thread.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "common/base/result.h"
#include "coordinator/compress/compression_plan.h"
#include "coordinator/compress/internal/structure_settings.h"
#include "coordinator/compress/internal/token_settings.h"

namespace skein {

struct SparsitySettings {
  std::optional<double> cett;                       // sparsity.cett, 0 to 0.5
  std::optional<bool> order;                        // sparsity.order: hot or off
  std::optional<std::vector<ScoreKind>> predictor;  // sparsity.predictor: off, or kinds joined by +
  bool any() const { return cett || order || predictor; }
};

// What was set; nothing where it was not.
struct PressSettings {
  std::optional<Format> format;                       // quantize.format: q8, q6, q5 or q4
  std::optional<CompressionPlan::Rounding> rounding;  // quantize.method: nearest or gptq
  std::optional<double> damping;                      // quantize.damping, above 0, at most 1
  std::optional<double> scales;                       // quantize.scales, 0 to 1
  std::optional<PageCoding> pages;                    // entropy.pages
  std::optional<std::uint32_t> calibration_ids;       // calibration.ids
  std::optional<std::uint32_t> sensitivity_ids;       // sensitivity.ids
  std::optional<double> entropy_bits;                 // entropy.bits, 1 to 8
  std::optional<double> entropy_price;                // entropy.lambda, 0 to 1
  std::optional<double> entropy_exponent;             // entropy.exponent, 0 to 1.5
  bool codes_pages(bool otherwise) const {
    return pages ? *pages != PageCoding::kPlain : otherwise;
  }
  StructureSettings structure;  // prune.*, lowrank.*
  SparsitySettings sparsity;    // sparsity.*
  TokenSettings tokens;         // embedding.*, head.*
};

inline constexpr std::uint32_t kFewestIds = 512;
inline constexpr std::uint32_t kMostIds = 1U << 20;

// Errc::kUsage names a setting that is malformed, unknown, given twice or of a wrong value.
Result<PressSettings> parse_settings(std::span<const std::string> given);

}  // namespace skein
