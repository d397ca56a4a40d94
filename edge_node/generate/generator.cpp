#include "edge_node/generate/generator.h"

namespace skein {

namespace {

std::string without_leading_blanks(std::string text) {
  text.erase(0, std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  return text;
}

// Hands text on; leading blanks are dropped until something else has come, when asked for.
class Speaker {
 public:
  Speaker(OnText& on_text, bool trim) : on_text_(on_text), trim_(trim) {}
  Task<Result<void>> say(std::string text) {
    if (trim_) text = without_leading_blanks(std::move(text));
    if (text.empty()) co_return Result<void>{};
    trim_ = false;
    co_return co_await on_text_(std::move(text));
  }

 private:
  OnText& on_text_;
  bool trim_;
};

}  // namespace

Task<Result<Answer>> generate(Env env, Session& session, const Tokenizer& tokenizer,
                              GenerateRequest request, OnText on_text, IsGone is_gone) {
  const Instant begun = env.clock.now();
  Answer answer;
  answer.prompt_tokens = request.prompt.size();
  TextStream text(std::move(request.stops));
  Speaker speaker(on_text, request.trim_start);
  std::vector<TokenId> feed = std::move(request.prompt);
  if (feed.empty()) feed.push_back(kEndOfText);
  answer.finish = Finish::kLength;
  while (answer.completion_tokens < request.max_tokens) {
    if (is_gone()) co_return fail(Errc::kCancelled, "the asker went away");
    CO_TRY(const TokenId picked, co_await session.next(std::move(feed)));
    if (answer.completion_tokens == 0) answer.first_token = env.clock.now() - begun;
    if (picked == kEndOfText) {
      answer.finish = Finish::kStop;
      break;
    }
    answer.completion_tokens += 1;
    CO_TRY_VOID(co_await speaker.say(text.add(tokenizer.bytes_of(picked))));
    if (text.stopped()) {
      answer.finish = Finish::kStop;
      break;
    }
    feed.assign(1, picked);
  }
  CO_TRY_VOID(co_await speaker.say(text.finish()));
  answer.whole = env.clock.now() - begun;
  co_return answer;
}

}  // namespace skein
