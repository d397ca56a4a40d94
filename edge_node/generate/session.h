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

class Session {
 public:
  virtual ~Session() = default;
  // Feeds `ids` (at least one) and picks the id that follows the last. Cancellable; after an error
  // or a cancellation the session is of no further use.
  virtual Task<Result<TokenId>> next(std::vector<TokenId> ids) = 0;
  // Whether nothing but the end of text may follow the id picked last.
  virtual bool is_complete() const { return false; }
  virtual std::string_view kind() const = 0;  // CONTRACT section 4: "local", "split"
  // For answers whose state is kept (LocalSession's): read feeds without picking; rewind goes back
  // to the moment of the last mark.
  virtual Task<Result<void>> read(std::vector<TokenId> ids);
  virtual void mark() {}
  virtual void rewind() {}
  // Of passes that were this session's alone; those it shared count in ModelHost::passes().
  virtual Runner::Counters counters() const { return {}; }
};

struct Sequence;  // internal/batcher.h

// Shares its passes over the weights with every other LocalSession of the model. The bits are the
// same as if it were alone.
class LocalSession final : public Session {
 public:
  LocalSession(std::shared_ptr<const HostedModel> model, TokenPicker picker);
  // Goes on from a state of the same model.
  LocalSession(std::shared_ptr<const HostedModel> model, TokenPicker picker, RwkvState from);
  ~LocalSession() override;
  LocalSession(const LocalSession&) = delete;
  LocalSession& operator=(const LocalSession&) = delete;

  Task<Result<TokenId>> next(std::vector<TokenId> ids) override;
  // The same for ids that the picker has been told already.
  Task<Result<TokenId>> replay(std::vector<TokenId> ids);
  Task<Result<void>> read(std::vector<TokenId> ids) override;  // the picker is not told
  void mark() override;
  void rewind() override;
  bool is_complete() const override;
  std::string_view kind() const override { return "local"; }
  const RwkvState& state() const;  // between calls: of the ids fed so far

 private:
  Task<Result<TokenId>> feed(std::vector<TokenId> ids, bool picks);
  std::shared_ptr<const HostedModel> hosted_;
  std::shared_ptr<Sequence> sequence_;
  RwkvState marked_;
};

}  // namespace skein
