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
  Speaker(Asker& asker, bool trim) : asker_(asker), trim_(trim) {}
  Task<Result<void>> say(std::string text) {
    if (trim_) text = without_leading_blanks(std::move(text));
    if (text.empty()) co_return Result<void>{};
    trim_ = false;
    co_return co_await asker_.on_text(std::move(text));
  }

 private:
  Asker& asker_;
  bool trim_;
};

}  // namespace

Task<Result<void>> generate(Env env, Session& session, const Tokenizer& tokenizer,
                            GenerateRequest request, Asker asker, Answer& answer) {
  const Instant begun = env.clock.now();
  answer = Answer{};
  TextStream text(std::move(request.stops));
  Speaker speaker(asker, request.trim_start);
  const std::size_t prompt_tokens = request.prompt.size();
  std::vector<TokenId> feed = std::move(request.prompt);
  if (feed.empty()) feed.push_back(kEndOfText);
  while (answer.completion_tokens < request.max_tokens) {
    if (asker.is_gone()) co_return fail(Errc::kCancelled, "the asker went away");
    CO_TRY(const TokenId picked, co_await session.next(std::move(feed)));
    answer.whole = env.clock.now() - begun;
    if (answer.completion_tokens == 0) {
      answer.prompt_tokens = prompt_tokens;
      answer.first_token = answer.whole;
    }
    if (picked == kEndOfText) {
      answer.finish = Finish::kStop;
      break;
    }
    answer.completion_tokens += 1;
    CO_TRY_VOID(co_await speaker.say(text.add(tokenizer.bytes_of(picked))));
    if (text.stopped() || session.is_complete()) {
      answer.finish = Finish::kStop;
      break;
    }
    feed.assign(1, picked);
  }
  answer.prompt_tokens = prompt_tokens;
  co_return co_await speaker.say(text.finish());
}

}  // namespace skein
