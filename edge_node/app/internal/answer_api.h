// AnswerApi: /v1/chat/completions and /v1/completions. Owned by the node; loop thread only.
#pragma once

#include "common/http/http.h"
#include "edge_node/app/config.h"
#include "edge_node/app/internal/completion_reply.h"
#include "edge_node/app/internal/kept_states.h"
#include "edge_node/app/internal/metrics.h"
#include "edge_node/generate/model_host.h"
#include "edge_node/split/split_client.h"

namespace skein {

class AnswerApi {
 public:
  AnswerApi(Env env, const EdgeConfig& config, ModelHost& host, SplitClient& split,
            KeptStates& states, EdgeMetrics& metrics);

  Task<void> answer(CompletionKind kind, HttpRequest request, HttpResponder& responder);
  std::size_t running() const { return running_; }
  void refuse_new() { draining_ = true; }

 private:
  struct Choice {  // one of the answers that a request asks for
    std::unique_ptr<Session> session;
    ReplyChoice said;
    Result<void> ended = fail(Errc::kCancelled, "not begun");
  };
  // One request on its way: the model is kept, whatever the slot does meanwhile.
  struct Work {
    std::shared_ptr<const HostedModel> model;
    CompletionRequest request;
    GenerateRequest generate;
    ReplyHead head;
    ReplyNotes notes;
    std::optional<KeptStates::Lease> lease;  // of the state it goes on from, or makes
    std::shared_ptr<const KeptState> from;   // nullptr: it begins
    const LocalSession* keeps = nullptr;     // the session whose state is kept
    std::vector<Choice> choices;
    std::size_t read_before = 0;  // tokens of the prompt that were read once for all choices
    Duration reading{};
  };

  std::size_t most_answers() const;  // at once
  Result<Work> prepare(CompletionKind kind, const std::string& body);
  Result<void> take_kept(Work& work);
  Result<void> read_prompt(Work& work) const;
  Result<void> keep(Work& work);
  Task<Result<void>> open_sessions(Work& work);
  Task<Result<void>> open_local(Work& work, std::vector<TokenPicker> pickers);
  Task<Result<std::vector<TokenPicker>>> pickers_for(Work& work);
  Task<void> answer_whole(Work& work, HttpResponder& responder);
  Task<void> answer_stream(Work& work, HttpResponder& responder);
  using OnText = std::function<Task<Result<void>>(std::string)>;
  Task<void> run_choice(Work& work, std::size_t index, OnText on_text, HttpResponder& responder);
  class EventStream;
  Task<void> stream_choice(Work& work, std::size_t index, EventStream& events);
  void note_end(Work& work, std::size_t index);

  Env env_;
  const EdgeConfig& config_;
  ModelHost& host_;
  SplitClient& split_;
  KeptStates& states_;
  EdgeMetrics& metrics_;
  // The vocabulary laid out for grammars: of the model that was last asked to follow one.
  struct {
    Digest artifact;
    std::shared_ptr<const TokenTrie> tokens;
  } laid_out_;
  std::size_t running_ = 0;
  bool draining_ = false;
};

}  // namespace skein
