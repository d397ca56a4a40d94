// CompletionReply: answers as OpenAI clients read them: one JSON object, or chunks of a stream.
// Pure; one answer's.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "edge_node/app/internal/completion_request.h"
#include "edge_node/generate/generator.h"

namespace skein {

// What is the same in every object of one answer.
struct ReplyHead {
  CompletionKind kind = CompletionKind::kText;
  std::string id;  // "chatcmpl-..." or "cmpl-..."
  std::int64_t created = 0;
  std::string model;
};

// What is Skein's own in the last object: "skein": {...}.
struct ReplyNotes {
  std::string artifact;  // digest
  std::string session;   // "local", "split"
  std::uint32_t first_layer = 0;
  bool fell_back = false;  // asked to be split, ended local
  std::string kept;        // the kept state's name; "" is none
  std::uint64_t kept_tokens = 0;
};

// One answer of those asked for, which share the prompt.
struct ReplyChoice {
  Answer answer;
  std::string text;
};
// Tokens and times of all together: the prompt's tokens once.
Answer total_of(std::span<const ReplyChoice> choices);

std::string whole_reply(const ReplyHead& head, std::span<const ReplyChoice> choices,
                        const ReplyNotes& notes);
// Each is one server-sent event: "data: {...}\n\n". `choice` counts from 0.
std::string first_event(const ReplyHead& head, std::size_t choice);  // chat: the role; text: ""
std::string text_event(const ReplyHead& head, std::size_t choice, std::string_view text);
std::string last_event(const ReplyHead& head, std::size_t choice, const Answer& answer,
                       const ReplyNotes& notes);
std::string usage_event(const ReplyHead& head, const Answer& answer);
std::string error_event(const Error& error);
inline constexpr std::string_view kDoneEvent = "data: [DONE]\n\n";

}  // namespace skein
