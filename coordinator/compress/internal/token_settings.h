// What `--set embedding.key=value` and `--set head.key=value` may say. Private to the room; pure,
// any thread.
#pragma once

#include <string_view>

#include "common/base/result.h"
#include "coordinator/compress/token_plan.h"

namespace skein {

// What was set; nothing where it was not.
struct TokenSettings {
  std::optional<Format> embedding_format;  // embedding.format: f32, bf16, f16, q8, q6, q5 or q4

  std::optional<HeadPlan::Method> head_method;  // head.method: screen or clusters
  std::optional<std::uint32_t> head_clusters;   // head.clusters, 1 to 4096
  std::optional<std::uint32_t> head_rank;       // head.rank, 1 to 4096
  std::optional<Format> sketch_format;          // head.format: q8, q6, q5, q4, bf16, f16 or f32
  std::optional<double> head_mass;              // head.mass, above 0, at most 1
  std::optional<std::uint32_t> head_least, head_most;  // head.least, head.most
  std::optional<std::uint32_t> head_epochs;            // head.epochs, 1 to 1000

  bool heads() const {
    return head_method || head_clusters || head_rank || sketch_format || head_mass || head_least ||
           head_most || head_epochs;
  }
  HeadPlan head_plan() const;
  // Errc::kUsage: two that contradict each other.
  Result<void> check() const;
  bool embeds() const { return embedding_format.has_value(); }
  EmbeddingPlan embedding_plan() const { return {.format = embedding_format}; }
};

inline constexpr std::string_view kTokenSettings =
    "embedding.format, head.method, head.clusters, head.rank, head.format, head.mass, head.least, "
    "head.most, head.epochs";

bool is_token_setting(std::string_view name);
// Errc::kUsage names a wrong value. `name` is one of them.
Result<void> set_token_setting(TokenSettings& settings, std::string_view name,
                               std::string_view value);

}  // namespace skein
