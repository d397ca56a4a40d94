#include "edge_node/app/internal/answer_api.h"

#include "common/grammar/json_schema.h"
#include "edge_node/app/edge_node.h"

namespace skein {

namespace {

class Seats {  // some of kMaxAnswers
 public:
  Seats(std::size_t count, std::size_t& running, EdgeMetrics& metrics)
      : count_(count), running_(running), metrics_(metrics) {
    metrics_.set_running(running_ += count_);
  }
  ~Seats() { metrics_.set_running(running_ -= count_); }
  Seats(const Seats&) = delete;
  Seats& operator=(const Seats&) = delete;

 private:
  std::size_t count_;
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
  const bool is_ours = error.code == Errc::kCorrupt;  // a page
  return error_response(asked_wrong ? 400
                        : is_ours   ? 500
                                    : http_status(error.code),
                        to_string(error), is_askers ? "invalid_request_error" : "server_error");
}

}  // namespace

AnswerApi::AnswerApi(Env env, const EdgeConfig& config, ModelHost& host, SplitClient& split,
                     KeptStates& states, EdgeMetrics& metrics)
    : env_(env), config_(config), host_(host), split_(split), states_(states), metrics_(metrics) {}

// The events of a stream, which several choices write, one at a time.
class AnswerApi::EventStream {
 public:
  EventStream(const Executor& executor, HttpResponder& to) : responder(to), written_(executor) {}

  Task<Result<void>> write(std::string event) {
    while (writing_) co_await written_.wait();
    const Turn turn(*this);
    co_return co_await responder.write(event);
  }

  HttpResponder& responder;

 private:
  class Turn {
   public:
    explicit Turn(EventStream& stream) : stream_(stream) { stream_.writing_ = true; }
    ~Turn() {
      stream_.writing_ = false;
      stream_.written_.notify_all();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    EventStream& stream_;
  };
  bool writing_ = false;
  Signal written_;
};

Task<void> AnswerApi::answer(CompletionKind kind, HttpRequest request, HttpResponder& responder) {
  HttpResponse refused;
  const bool ready = !draining_ && host_.current() != nullptr;
  Result<Work> work = ready ? prepare(kind, request.body)
                            : Result<Work>(fail(Errc::kUnavailable, "no model is active yet"));
  const std::size_t seats = work ? work->request.choices : 1;
  if (!ready || running_ + seats > most_answers()) {
    metrics_.count_answer(AnswerEnd::kRefused);
    refused = busy(draining_                    ? "this device is shutting down"
                   : host_.current() == nullptr ? "no model is active yet"
                                                : "too many answers are under way");
    co_await responder.respond(std::move(refused));
    co_return;
  }
  const Seats seated(seats, running_, metrics_);
  if (work) {
    // An answer whose state is kept can go back to where it began: that is a state more.
    Result<void> opened = co_await host_.make_room(running_ + states_.leases());
    if (opened) opened = co_await open_sessions(*work);
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

std::size_t AnswerApi::most_answers() const {
  const auto model = host_.current();
  return model != nullptr && model->budgeted != nullptr ? model->budgeted->sessions() : kMaxAnswers;
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

// With their grammar, if the answers are to follow one: made on Compute, a large one takes a while.
Task<Result<std::vector<TokenPicker>>> AnswerApi::pickers_for(Work& work) {
  SamplerOptions sampler = work.request.sampler;
  sampler.seed = work.request.seed ? *work.request.seed : env_.random.next();
  const Model& model = *work.model->model;
  CO_TRY_VOID(check(sampler, model.config().vocab));
  const AnswerForm& form = work.request.form;
  std::optional<Constraint> constraint;
  if (form.kind != AnswerForm::Kind::kFree) {
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
    constraint.emplace(Constraint{*grammar, std::move(tokens), model.tokenizer()});
  }
  std::vector<TokenPicker> pickers;
  for (std::uint32_t i = 0; i < work.request.choices; ++i) {
    pickers.push_back(constraint ? TokenPicker(sampler, *constraint) : TokenPicker(sampler));
    sampler.seed += 1;
  }
  co_return pickers;
}

Task<Result<void>> AnswerApi::open_sessions(Work& work) {
  CO_TRY(std::vector<TokenPicker> pickers, co_await pickers_for(work));
  const bool here = work.lease || pickers.size() > 1;
  const std::uint32_t layer = here ? 0 : work.request.split_layer.value_or(config_.first_layer);
  if (layer == 0) co_return co_await open_local(work, std::move(pickers));
  const ModelConfig& config = work.model->model->config();
  if (!SplitClient::can_split(config, layer)) {
    co_return fail(Errc::kUsage, "no layer " + std::to_string(layer) + " to split before",
                   "\"skein\".\"split_layer\" or [split] first_layer",
                   "0 is off; 1 to " + std::to_string(config.layers - 1) + " split");
  }
  work.notes.first_layer = layer;
  work.choices.resize(1);
  work.choices[0].session = split_.open(work.model, std::move(pickers[0]), layer);
  co_return Result<void>{};
}

// Several choices read the prompt once, all but its last token, and branch there.
Task<Result<void>> AnswerApi::open_local(Work& work, std::vector<TokenPicker> pickers) {
  RwkvState from = work.from ? work.from->state : work.model->model->initial_state();
  std::vector<TokenId>& prompt = work.generate.prompt;
  if (pickers.size() > 1 && prompt.size() > 1) {
    const Instant begun = env_.clock.now();
    std::vector<TokenId> shared(prompt.begin(), prompt.end() - 1);
    prompt.erase(prompt.begin(), prompt.end() - 1);
    for (TokenPicker& picker : pickers) picker.fed(shared);
    work.read_before = shared.size();
    LocalSession trunk(work.model, TokenPicker(), std::move(from));
    CO_TRY_VOID(co_await trunk.read(std::move(shared)));
    from = trunk.state();
    work.reading = env_.clock.now() - begun;
  }
  for (TokenPicker& picker : pickers) {
    auto local = std::make_unique<LocalSession>(work.model, std::move(picker), from);
    if (work.lease) work.keeps = local.get();
    Choice choice;
    choice.session = std::move(local);
    work.choices.push_back(std::move(choice));
  }
  co_return Result<void>{};
}

Task<void> AnswerApi::run_choice(Work& work, std::size_t index, OnText on_text,
                                 HttpResponder& responder) {
  Choice& choice = work.choices[index];
  Answer& answer = choice.said.answer;
  Asker asker{std::move(on_text), [&responder] { return responder.client_gone(); }};
  GenerateRequest request = work.generate;
  choice.ended = co_await generate(env_, *choice.session, *work.model->model->tokenizer(),
                                   std::move(request), std::move(asker), answer);
  answer.prompt_tokens += work.read_before;
  answer.first_token += work.reading;
  answer.whole += work.reading;
  if (choice.ended && work.keeps != nullptr) choice.ended = keep(work);
  note_end(work, index);
}

Result<void> AnswerApi::keep(Work& work) {
  work.notes.kept = work.lease->name();
  work.notes.kept_tokens = work.keeps->state().step.value();
  return work.lease->put({work.model->digest, work.keeps->state()});
}

void AnswerApi::note_end(Work& work, std::size_t index) {
  const Choice& choice = work.choices[index];
  work.notes.session = choice.session->kind();
  work.notes.fell_back = work.notes.first_layer > 0 && choice.session->kind() == "local";
  Answer counted = choice.said.answer;
  if (index > 0) counted.prompt_tokens = 0;  // the first choice's already
  metrics_.count_tokens(counted, choice.session->counters());
  if (choice.ended) {
    metrics_.count_answer(AnswerEnd::kDone);
    return;
  }
  const Errc code = choice.ended.error().code;
  const bool left = code == Errc::kCancelled || code == Errc::kUnavailable;
  metrics_.count_answer(left ? AnswerEnd::kCancelled : AnswerEnd::kFailed);
}

Task<void> AnswerApi::answer_whole(Work& work, HttpResponder& responder) {
  std::vector<Task<void>> running;
  for (std::size_t i = 0; i < work.choices.size(); ++i) {
    OnText on_text = [&text = work.choices[i].said.text](std::string piece) -> Task<Result<void>> {
      text += piece;
      co_return Result<void>{};
    };
    running.push_back(run_choice(work, i, std::move(on_text), responder));
  }
  co_await all_of(std::move(running));
  std::vector<ReplyChoice> said;
  const Error* failed = nullptr;
  for (Choice& choice : work.choices) {
    if (!choice.ended && failed == nullptr) failed = &choice.ended.error();
    said.push_back(std::move(choice.said));
  }
  HttpResponse response = failed == nullptr
                              ? json_response(200, whole_reply(work.head, said, work.notes))
                              : refusal(*failed);
  co_await responder.respond(std::move(response));
}

Task<void> AnswerApi::stream_choice(Work& work, std::size_t index, EventStream& events) {
  OnText on_text = [&work, index, &events](std::string piece) -> Task<Result<void>> {
    std::string event = text_event(work.head, index, piece);
    co_return co_await events.write(std::move(event));
  };
  co_await run_choice(work, index, std::move(on_text), events.responder);
  const Choice& choice = work.choices[index];
  std::string last = choice.ended ? last_event(work.head, index, choice.said.answer, work.notes)
                                  : error_event(choice.ended.error());
  const auto written = co_await events.write(std::move(last));
  if (!written) env_.log.debug("the asker went away", {{"reason", to_string(written.error())}});
}

Task<void> AnswerApi::answer_stream(Work& work, HttpResponder& responder) {
  std::vector<std::pair<std::string, std::string>> headers{{"Content-Type", "text/event-stream"},
                                                           {"Cache-Control", "no-cache"}};
  EventStream events(env_.executor, responder);
  auto begun = co_await responder.begin(200, std::move(headers));
  for (std::size_t i = 0; begun && i < work.choices.size(); ++i) {
    std::string first = first_event(work.head, i);
    if (!first.empty()) begun = co_await events.write(std::move(first));
  }
  if (!begun) {
    metrics_.count_answer(AnswerEnd::kCancelled);
    co_return;
  }
  std::vector<Task<void>> running;
  for (std::size_t i = 0; i < work.choices.size(); ++i) {
    running.push_back(stream_choice(work, i, events));
  }
  co_await all_of(std::move(running));
  std::vector<ReplyChoice> said;
  for (const Choice& choice : work.choices) {
    if (!choice.ended) co_return;
    said.push_back(choice.said);
  }
  std::string rest;
  if (work.request.include_usage) rest = usage_event(work.head, total_of(said));
  rest += kDoneEvent;
  const auto written = co_await events.write(std::move(rest));
  if (!written) env_.log.debug("the asker went away", {{"reason", to_string(written.error())}});
}

}  // namespace skein
