// SplitSession: the hands of SplitMachine for one conversation.
#pragma once

#include <vector>

#include "edge_node/split/split_client.h"
#include "edge_node/split/split_machine.h"

namespace skein {

class SplitSession final : public Session {
 public:
  SplitSession(SplitClient& client, std::shared_ptr<const HostedModel> model, TokenPicker picker,
               std::uint32_t first_layer);
  ~SplitSession() override;

  Task<Result<TokenId>> next(std::vector<TokenId> ids) override;
  bool is_complete() const override {
    return alone_ ? alone_->is_complete() : picker_.is_complete();
  }
  std::string_view kind() const override { return machine_.local() ? "local" : "split"; }
  Runner::Counters counters() const override { return runner_.counters(); }

 private:
  std::size_t batch_limit() const;
  Task<Result<void>> feed_remote(std::vector<TokenId> ids);
  Task<Result<void>> run_lower(std::vector<TokenId> ids);
  Task<Result<void>> settle(std::uint32_t count);
  Task<AnySplitEvent> open();
  Task<AnySplitEvent> send(std::uint32_t count);
  Task<AnySplitEvent> wait_link();
  Result<void> take_reply(const Envelope& reply, std::uint32_t count);
  Task<Result<TokenId>> go_on_alone(std::vector<TokenId> rest);
  Task<Result<TokenId>> pick();

  SplitClient& client_;
  Env env_;
  std::shared_ptr<const HostedModel> hosted_;
  const std::uint32_t layers_;
  const std::uint32_t width_;
  const std::uint32_t first_layer_;  // the first of the upper layers
  const SessionId id_;
  SplitMachine machine_;
  Runner runner_;
  RwkvState state_;           // only the lower layers' part is advanced
  Activation activation_;     // after the last layer, of the last token fed
  Buffer payload_;            // of the batch under way: (x, v_first) per token
  std::vector<TokenId> fed_;  // everything so far: what going on alone replays
  TokenPicker picker_;
  std::vector<float> logits_;
  bool told_ = false;                    // the coordinator may know this session
  std::unique_ptr<LocalSession> alone_;  // once the machine has turned local
};

}  // namespace skein
