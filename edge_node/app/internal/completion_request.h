// CompletionRequest: an OpenAI request body, checked. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/model/sampler.h"
#include "edge_node/generate/chat.h"

namespace skein {

inline constexpr std::uint32_t kDefaultMaxTokens = 256;
inline constexpr std::uint32_t kMaxAnswerTokens = 1U << 20;
inline constexpr std::uint32_t kMaxChoices = 8;  // of one request ("n")
inline constexpr std::size_t kMaxMessages = 4096;
inline constexpr std::size_t kMaxBodyDepth = 128;  // a JSON schema may stand in it

enum class CompletionKind : unsigned char { kChat, kText };

// What the answer must follow, and the field that says so.
struct AnswerForm {
  enum class Kind : unsigned char { kFree, kGrammar, kSchema, kAnyObject };
  Kind kind = Kind::kFree;
  std::string field;
  std::string text;  // GBNF, or a JSON schema
};

struct CompletionRequest {
  CompletionKind kind = CompletionKind::kText;
  std::vector<ChatMessage> messages;               // chat
  std::string prompt;                              // text
  std::optional<std::vector<TokenId>> prompt_ids;  // text, given as ids
  std::uint32_t max_tokens = kDefaultMaxTokens;
  std::uint32_t choices = 1;
  SamplerOptions sampler;             // without the seed
  std::optional<std::uint64_t> seed;  // of the first choice, one more for each; absent: random
  AnswerForm form;
  std::vector<std::string> stops;
  bool stream = false;
  bool include_usage = false;                // of a stream
  std::optional<std::uint32_t> split_layer;  // "skein":{"split_layer":k}
  std::string session;                       // the kept state to go on from; "" is none
};

// Errc::kUsage naming the field. Fields that are not known are ignored, as OpenAI clients expect.
Result<CompletionRequest> parse_completion(CompletionKind kind, std::string_view body);

}  // namespace skein
