#include "edge_node/app/internal/answer_api.h"

#include "common/grammar/json_schema.h"
#include "edge_node/app/edge_node.h"

namespace skein {

namespace {

class Seat {  // one of kMaxAnswers
 public:
  Seat(std::size_t& running, EdgeMetrics& metrics) : running_(running), metrics_(metrics) {
    metrics_.set_running(++running_);
  }
  ~Seat() { metrics_.set_running(--running_); }
  Seat(const Seat&) = delete;
  Seat& operator=(const Seat&) = delete;

 private:
  std::size_t& running_;
  EdgeMetrics& metrics_;
};

HttpResponse busy(std::string_view why) {
  HttpResponse response = error_response(503, why, "overloaded_error");
  response.headers.emplace_back("Retry-After", "1");
  return response;
}

Result<Grammar> grammar_of(const AnswerForm& form) {
  Result<Grammar> grammar = form.kind == AnswerForm::Kind::kGrammar  ? Grammar::parse(form.text)
                            : form.kind == AnswerForm::Kind::kSchema ? grammar_of_schema(form.text)
                                                                     : grammar_of_any_object();
  if (grammar) return grammar;
  Error error = within("\"" + form.field + "\"", std::move(grammar.error()));
  error.code = Errc::kUsage;
  return tl::unexpected<Error>(std::move(error));
}

HttpResponse refusal(const Error& error) {
  const bool asked_wrong = error.code == Errc::kUsage || error.code == Errc::kUnsupported;
  const bool is_askers = asked_wrong || error.code == Errc::kConflict;
  return error_response(asked_wrong ? 400 : http_status(error.code), to_string(error),
                        is_askers ? "invalid_request_error" : "server_error");
}

}  // namespace

AnswerApi::AnswerApi(Env env, const EdgeConfig& config, ModelHost& host, SplitClient& split,
                     KeptStates& states, EdgeMetrics& metrics)
    : env_(env), config_(config), host_(host), split_(split), states_(states), metrics_(metrics) {}

Task<void> AnswerApi::answer(CompletionKind kind, HttpRequest request, HttpResponder& responder) {
  HttpResponse refused;
  if (draining_ || host_.current() == nullptr || running_ >= kMaxAnswers) {
    metrics_.count_answer(AnswerEnd::kRefused);
    refused = busy(draining_                ? "this device is shutting down"
                   : running_ < kMaxAnswers ? "no model is active yet"
                                            : "too many answers are under way");
    co_await responder.respond(std::move(refused));
    co_return;
  }
  Result<Work> work = prepare(kind, request.body);
  const Seat seat(running_, metrics_);
  if (work) {
    const Result<void> opened = co_await open_session(*work);
    if (!opened) work = tl::unexpected<Error>(opened.error());
  }
  if (!work) {
    metrics_.count_answer(AnswerEnd::kRefused);
    refused = refusal(work.error());
    co_await responder.respond(std::move(refused));
    co_return;
  }
  if (work->request.stream) {
    co_await answer_stream(*work, responder);
  } else {
    co_await answer_whole(*work, responder);
  }
}

Result<AnswerApi::Work> AnswerApi::prepare(CompletionKind kind, const std::string& body) {
  Work work;
  work.model = host_.current();
  TRY(work.request, parse_completion(kind, body));
  TRY_VOID(take_kept(work));
  TRY_VOID(read_prompt(work));
  const std::uint64_t number = env_.random.next();
  work.head.kind = kind;
  work.head.id = (kind == CompletionKind::kChat ? "chatcmpl-" : "cmpl-") +
                 to_hex(std::as_bytes(std::span(&number, 1)));
  work.head.created = env_.clock.wall_now().time_since_epoch().count();
  work.head.model = work.model->name;
  work.notes.artifact = work.model->digest.hex();
  return work;
}

// The state that the answer goes on from, if it names one; no other answer may meanwhile.
Result<void> AnswerApi::take_kept(Work& work) {
  const std::string& name = work.request.session;
  if (name.empty()) return {};
  TRY(auto lease, states_.lease(name));
  work.lease.emplace(std::move(lease));
  work.from = states_.find(name);
  if (work.from != nullptr && work.from->artifact != work.model->digest) {
    return fail(Errc::kConflict, "the session \"" + name + "\" belongs to another model", {},
                "delete it, or use another name");
  }
  return {};
}

Result<void> AnswerApi::read_prompt(Work& work) const {
  const Tokenizer* tokenizer = work.model->model->tokenizer();
  if (tokenizer == nullptr) {
    return fail(Errc::kUnsupported, "the active artifact carries no vocabulary", work.model->name);
  }
  GenerateRequest& generate = work.generate;
  generate.max_tokens = work.request.max_tokens;
  generate.stops = work.request.stops;
  generate.keeps_state = work.lease.has_value();
  std::string text = work.request.prompt;
  if (work.request.kind == CompletionKind::kChat) {
    TRY(text, work.model->chat.render(work.request.messages));
    if (work.from != nullptr) text = work.model->chat.turn_end() + text;
    const auto& stops = work.model->chat.stops();
    generate.stops.insert(generate.stops.end(), stops.begin(), stops.end());
    generate.trim_start = true;
  }
  if (work.request.prompt_ids) {
    generate.prompt = *work.request.prompt_ids;
  } else {
    TRY(generate.prompt, tokenizer->encode(text));
  }
  if (generate.prompt.empty() && work.from != nullptr) {
    return fail(Errc::kUsage, "the prompt is empty", "\"prompt\"",
                "a session goes on with at least one token");
  }
  for (const TokenId id : generate.prompt) {
    if (id >= work.model->model->config().vocab) {
      return fail(Errc::kUsage, "token " + std::to_string(id) + " is not in the vocabulary");
    }
  }
  return {};
}

// With its grammar, if the answer is to follow one: made on Compute, a large one takes a while.
Task<Result<TokenPicker>> AnswerApi::picker_for(Work& work) {
  SamplerOptions sampler = work.request.sampler;
  sampler.seed = work.request.seed ? *work.request.seed : env_.random.next();
  const Model& model = *work.model->model;
  CO_TRY_VOID(check(sampler, model.config().vocab));
  const AnswerForm& form = work.request.form;
  if (form.kind == AnswerForm::Kind::kFree) co_return TokenPicker(sampler);
  const bool known = laid_out_.tokens != nullptr && laid_out_.artifact == work.model->digest;
  auto tokens = known ? laid_out_.tokens : nullptr;
  Result<Grammar> grammar = fail(Errc::kCancelled, "not read");
  std::function<void()> job = [&] {
    grammar = grammar_of(form);
    if (grammar && !tokens) tokens = trie_of(*model.tokenizer(), model.config().vocab);
  };
  co_await env_.compute.run(std::move(job), forward_cost(model.config(), 1));
  if (!grammar) co_return tl::unexpected<Error>(grammar.error());
  laid_out_ = {work.model->digest, tokens};
  const Constraint constraint{*grammar, std::move(tokens), model.tokenizer()};
  co_return TokenPicker(sampler, constraint);
}

Task<Result<void>> AnswerApi::open_session(Work& work) {
  CO_TRY(TokenPicker picker, co_await picker_for(work));
  const std::uint32_t layer =
      work.lease ? 0 : work.request.split_layer.value_or(config_.first_layer);
  if (layer == 0) {
    RwkvState from = work.from ? work.from->state : work.model->model->initial_state();
    auto local = std::make_unique<LocalSession>(work.model, std::move(picker), std::move(from));
    if (work.lease) work.keeps = local.get();
    work.session = std::move(local);
    co_return Result<void>{};
  }
  const ModelConfig& config = work.model->model->config();
  if (!SplitClient::can_split(config, layer)) {
    co_return fail(Errc::kUsage, "no layer " + std::to_string(layer) + " to split before",
                   "\"skein\".\"split_layer\" or [split] first_layer",
                   "0 is off; 1 to " + std::to_string(config.layers - 1) + " split");
  }
  work.notes.first_layer = layer;
  work.session = split_.open(work.model, std::move(picker), layer);
  co_return Result<void>{};
}

Task<Result<void>> AnswerApi::run(Work& work, OnText on_text, HttpResponder& responder) {
  Asker asker{std::move(on_text), [&responder] { return responder.client_gone(); }};
  Result<void> ended = co_await generate(env_, *work.session, *work.model->model->tokenizer(),
                                         std::move(work.generate), std::move(asker), work.answer);
  if (ended && work.keeps != nullptr) ended = keep(work);
  note_end(work, ended);
  co_return ended;
}

Result<void> AnswerApi::keep(Work& work) {
  work.notes.kept = work.lease->name();
  work.notes.kept_tokens = work.keeps->state().step.value();
  return work.lease->put({work.model->digest, work.keeps->state()});
}

void AnswerApi::note_end(Work& work, const Result<void>& ended) {
  work.notes.session = work.session->kind();
  work.notes.fell_back = work.notes.first_layer > 0 && work.session->kind() == "local";
  metrics_.count_tokens(work.answer, work.session->counters());
  if (ended) {
    metrics_.count_answer(AnswerEnd::kDone);
    return;
  }
  const Errc code = ended.error().code;
  const bool left = code == Errc::kCancelled || code == Errc::kUnavailable;
  metrics_.count_answer(left ? AnswerEnd::kCancelled : AnswerEnd::kFailed);
}

Task<void> AnswerApi::answer_whole(Work& work, HttpResponder& responder) {
  std::string text;
  OnText on_text = [&text](std::string piece) -> Task<Result<void>> {
    text += piece;
    co_return Result<void>{};
  };
  const Result<void> ended = co_await run(work, std::move(on_text), responder);
  HttpResponse response =
      ended ? json_response(200, whole_reply(work.head, work.answer, text, work.notes))
            : refusal(ended.error());
  co_await responder.respond(std::move(response));
}

Task<void> AnswerApi::answer_stream(Work& work, HttpResponder& responder) {
  std::vector<std::pair<std::string, std::string>> headers{{"Content-Type", "text/event-stream"},
                                                           {"Cache-Control", "no-cache"}};
  auto begun = co_await responder.begin(200, std::move(headers));
  const std::string first = first_event(work.head);
  if (begun && !first.empty()) begun = co_await responder.write(first);
  if (!begun) {
    metrics_.count_answer(AnswerEnd::kCancelled);
    co_return;
  }
  OnText on_text = [&work, &responder](std::string piece) -> Task<Result<void>> {
    const std::string event = text_event(work.head, piece);
    co_return co_await responder.write(event);
  };
  const Result<void> ended = co_await run(work, std::move(on_text), responder);
  std::string rest;
  if (ended) {
    rest = last_event(work.head, work.answer, work.notes);
    if (work.request.include_usage) rest += usage_event(work.head, work.answer);
    rest += kDoneEvent;
  } else {
    rest = error_event(ended.error());
  }
  const auto written = co_await responder.write(rest);
  if (!written) env_.log.debug("the asker went away", {{"reason", to_string(written.error())}});
}

}  // namespace skein
