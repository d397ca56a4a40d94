// Session: one conversation's recurrent state and token picker: ids in, the next id out. One
// answer's; loop thread only (it computes on Compute). LocalSession computes every layer here;
// edge_node/split has the other kind.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "common/env/env.h"
#include "common/model/model.h"
#include "edge_node/generate/model_host.h"
#include "edge_node/generate/token_picker.h"

namespace skein {

inline constexpr std::size_t kPrefillTokens = 16;  // per compute job: what a cancelled answer costs

class Session {
 public:
  virtual ~Session() = default;
  // Feeds `ids` (at least one) and picks the id that follows the last. Cancellable between jobs;
  // after an error or a cancellation the session is of no further use.
  virtual Task<Result<TokenId>> next(std::vector<TokenId> ids) = 0;
  // Whether nothing but the end of text may follow the id picked last.
  virtual bool is_complete() const { return false; }
  virtual std::string_view kind() const = 0;  // CONTRACT section 4: "local", "split"
  virtual Runner::Counters counters() const = 0;
};

class LocalSession final : public Session {
 public:
  LocalSession(Env env, std::shared_ptr<const HostedModel> model, TokenPicker picker);
  Task<Result<TokenId>> next(std::vector<TokenId> ids) override;
  bool is_complete() const override { return picker_.is_complete(); }
  std::string_view kind() const override { return "local"; }
  Runner::Counters counters() const override { return runner_.counters(); }

 private:
  Env env_;
  std::shared_ptr<const HostedModel> hosted_;
  Runner runner_;
  RwkvState state_;
  TokenPicker picker_;
  std::vector<float> logits_;
};

}  // namespace skein
