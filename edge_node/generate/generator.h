// Generator: a prompt through a session into a stream of text. A coroutine of its caller; loop
// thread only. The text is whole characters without the stop string; it ends at a stop string, at
// end of text (id 0), or after max_tokens.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "common/model/tokenizer.h"
#include "edge_node/generate/session.h"
#include "edge_node/generate/text_stream.h"

namespace skein {

inline constexpr std::size_t kMaxPromptTokens = 1U << 20;

struct GenerateRequest {
  std::vector<TokenId> prompt;  // empty: id 0 is fed
  std::uint32_t max_tokens = 256;
  std::vector<std::string> stops;
  // At the end the session's state is that of prompt and text, not of a stop string.
  bool keeps_state = false;
  bool trim_start = false;  // chat: the blank between "Assistant:" and the answer is not text
};

enum class Finish : unsigned char { kStop, kLength };

struct Answer {
  Finish finish = Finish::kLength;
  std::uint64_t prompt_tokens = 0;
  std::uint64_t completion_tokens = 0;  // picked, the end of text not counted
  Duration first_token{};               // from the call to the first picked token
  Duration whole{};
};

struct Asker {
  // Takes a piece of text as soon as it is certain; an error ends the answer and becomes its error.
  std::function<Task<Result<void>>(std::string text)> on_text;
  // Asked between tokens: true ends the answer with Errc::kCancelled.
  std::function<bool()> is_gone;
};

// `answer` is kept up to date on the way, so that it also tells how far an answer came that ended
// with an error; it outlives the task.
Task<Result<void>> generate(Env env, Session& session, const Tokenizer& tokenizer,
                            GenerateRequest request, Asker asker, Answer& answer);

}  // namespace skein
