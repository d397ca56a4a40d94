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

// Where a session that is to be kept would go back to, should what is held back become a stop
// string: before the first of its tokens.
class Retreat {
 public:
  Retreat(Session& session, bool keeps) : session_(session), keeps_(keeps) {}

  // After `text` took a token's bytes, and before the session is fed it.
  void note(const TextStream& text, std::string_view bytes) {
    if (!keeps_) return;
    if (text.is_certain() && !text.stopped()) {
      held_.clear();
      return;
    }
    if (held_.empty()) session_.mark();
    held_ += bytes;
  }
  // Back to before the stop string: what is still to be fed for the text before it.
  Result<std::vector<TokenId>> go(const TextStream& text, const Tokenizer& tokenizer) {
    session_.rewind();
    return tokenizer.encode(std::string_view(held_).substr(0, held_.size() - text.cut()));
  }

 private:
  Session& session_;
  bool keeps_;
  std::string held_;  // bytes since the mark; empty: nothing is held back
};

}  // namespace

Task<Result<void>> generate(Env env, Session& session, const Tokenizer& tokenizer,
                            GenerateRequest request, Asker asker, Answer& answer) {
  const Instant begun = env.clock.now();
  answer = Answer{};
  TextStream text(std::move(request.stops));
  Speaker speaker(asker, request.trim_start);
  Retreat retreat(session, request.keeps_state);
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
      feed.clear();
      break;
    }
    answer.completion_tokens += 1;
    feed.assign(1, picked);
    std::string piece = text.add(tokenizer.bytes_of(picked));
    retreat.note(text, tokenizer.bytes_of(picked));
    CO_TRY_VOID(co_await speaker.say(std::move(piece)));
    if (text.stopped() || session.is_complete()) {
      answer.finish = Finish::kStop;
      break;
    }
  }
  answer.prompt_tokens = prompt_tokens;
  if (request.keeps_state && text.stopped()) {
    CO_TRY(feed, retreat.go(text, tokenizer));
  }
  if (request.keeps_state && !feed.empty()) CO_TRY_VOID(co_await session.read(std::move(feed)));
  co_return co_await speaker.say(text.finish());
}

}  // namespace skein
