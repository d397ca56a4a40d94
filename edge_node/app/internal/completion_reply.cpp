#include "edge_node/app/internal/completion_reply.h"

#include <algorithm>
#include <boost/json.hpp>

namespace skein {

namespace {

namespace json = boost::json;

bool is_chat(const ReplyHead& head) { return head.kind == CompletionKind::kChat; }

std::string_view finish_name(Finish finish) { return finish == Finish::kStop ? "stop" : "length"; }

json::object usage(const Answer& answer) {
  return {{"prompt_tokens", answer.prompt_tokens},
          {"completion_tokens", answer.completion_tokens},
          {"total_tokens", answer.prompt_tokens + answer.completion_tokens}};
}

double seconds(Duration duration) { return static_cast<double>(duration.count()) / 1e9; }

json::object own(const Answer& answer, const ReplyNotes& notes) {
  const double decoding = seconds(answer.whole - answer.first_token);
  const double after_first =
      answer.completion_tokens > 1 ? static_cast<double>(answer.completion_tokens - 1) : 0;
  json::object own{{"artifact", notes.artifact},
                   {"session", notes.session},
                   {"first_layer", notes.first_layer},
                   {"fell_back", notes.fell_back},
                   {"first_token_s", seconds(answer.first_token)},
                   {"decode_tokens_per_s", decoding > 0 ? after_first / decoding : 0.0}};
  if (!notes.kept.empty()) own["state"] = {{"id", notes.kept}, {"tokens", notes.kept_tokens}};
  return own;
}

json::object frame(const ReplyHead& head, std::string_view object, json::array choices) {
  return {{"id", head.id},
          {"object", object},
          {"created", head.created},
          {"model", head.model},
          {"choices", std::move(choices)}};
}

std::string event(const json::object& object) {
  return "data: " + json::serialize(object) + "\n\n";
}

// One choice of a stream; `finish` empty: null.
json::object chunk(const ReplyHead& head, std::size_t index, json::object delta,
                   std::string_view text, std::string_view finish) {
  json::object choice{{"index", index}};
  if (is_chat(head)) {
    choice["delta"] = std::move(delta);
  } else {
    choice["text"] = text;
  }
  choice["logprobs"] = nullptr;
  choice["finish_reason"] = finish.empty() ? json::value(nullptr) : json::value(finish);
  json::array choices{std::move(choice)};
  return frame(head, is_chat(head) ? "chat.completion.chunk" : "text_completion",
               std::move(choices));
}

json::object whole_choice(const ReplyHead& head, std::size_t index, const ReplyChoice& said) {
  json::object choice{{"index", index}};
  if (is_chat(head)) {
    choice["message"] = json::object{{"role", "assistant"}, {"content", said.text}};
  } else {
    choice["text"] = said.text;
  }
  choice["logprobs"] = nullptr;
  choice["finish_reason"] = finish_name(said.answer.finish);
  return choice;
}

}  // namespace

Answer total_of(std::span<const ReplyChoice> choices) {
  Answer total = choices[0].answer;
  for (const ReplyChoice& choice : choices.subspan(1)) {
    total.completion_tokens += choice.answer.completion_tokens;
    total.first_token = std::min(total.first_token, choice.answer.first_token);
    total.whole = std::max(total.whole, choice.answer.whole);
  }
  return total;
}

std::string whole_reply(const ReplyHead& head, std::span<const ReplyChoice> choices,
                        const ReplyNotes& notes) {
  json::array list;
  for (const ReplyChoice& said : choices) list.push_back(whole_choice(head, list.size(), said));
  json::object reply =
      frame(head, is_chat(head) ? "chat.completion" : "text_completion", std::move(list));
  const Answer total = total_of(choices);
  reply["usage"] = usage(total);
  reply["skein"] = own(total, notes);
  return json::serialize(reply);
}

std::string first_event(const ReplyHead& head, std::size_t choice) {
  if (!is_chat(head)) return {};
  return event(chunk(head, choice, {{"role", "assistant"}, {"content", ""}}, "", ""));
}

std::string text_event(const ReplyHead& head, std::size_t choice, std::string_view text) {
  return event(chunk(head, choice, {{"content", text}}, text, ""));
}

std::string last_event(const ReplyHead& head, std::size_t choice, const Answer& answer,
                       const ReplyNotes& notes) {
  json::object last = chunk(head, choice, {}, "", finish_name(answer.finish));
  last["skein"] = own(answer, notes);
  return event(last);
}

std::string usage_event(const ReplyHead& head, const Answer& answer) {
  json::object last =
      frame(head, is_chat(head) ? "chat.completion.chunk" : "text_completion", json::array());
  last["usage"] = usage(answer);
  return event(last);
}

std::string error_event(const Error& error) {
  return event({{"error", json::object{{"message", to_string(error)},
                                       {"type", "server_error"},
                                       {"code", name_of(error.code)}}}});
}

}  // namespace skein
