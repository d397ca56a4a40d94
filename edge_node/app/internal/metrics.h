// EdgeMetrics: what /metrics says. Owned by the node; loop thread only.
#pragma once

#include "common/env/pressure/pressure.h"
#include "common/http/metrics.h"
#include "common/model/model.h"
#include "edge_node/generate/generator.h"
#include "edge_node/learn/learner.h"
#include "edge_node/paging/pager_counters.h"
#include "edge_node/split/split_client.h"
#include "edge_node/update/updater.h"

namespace skein {

enum class AnswerEnd : unsigned char { kDone, kCancelled, kRefused, kFailed };

class EdgeMetrics {
 public:
  EdgeMetrics();

  void count_answer(AnswerEnd end);
  void count_tokens(const Answer& answer, const Runner::Counters& rows);
  void set_running(std::size_t answers);
  void set_link(bool connected);
  void set_kept(std::size_t states, std::size_t bytes);
  void set_slot(std::uint64_t generation);
  void take(const Updater::Counters& counters);
  void take(const SplitClient::Counters& counters);
  void take(const Learner::Status& status);
  void take(const PassCounters& passes);
  // Under a memory budget.
  void take(const PagerCounters& pager, std::uint64_t pages_mended);
  void set_memory(std::uint64_t budget, const std::optional<ProcessMemory>& process);
  void set_resized(std::uint64_t shrunk, std::uint64_t grown);

  HttpResponse response() const { return metrics_.response(); }

 private:
  prometheus::Counter& counter(const char* name, const char* help) {
    return metrics_.counter(name, help);
  }

  Metrics metrics_;
  prometheus::Counter* answers_[4];
  Runner::Counters split_rows_;  // of passes that were one session's alone
  prometheus::Counter &tokens_generated_, &prompt_tokens_, &rows_read_, &rows_, &decode_seconds_;
  prometheus::Counter &passes_, &pass_rows_, &pass_sessions_;
  prometheus::Counter &pages_fetched_, &update_bytes_, &update_wire_bytes_, &pages_refused_,
      &manifests_refused_;
  prometheus::Counter &switches_, &update_failures_;
  prometheus::Counter &split_sessions_, &split_steps_, &split_repeats_, &split_fallbacks_;
  prometheus::Counter &split_replayed_, &rounds_counted_;
  prometheus::Counter &pager_hits_, &pager_misses_, &pager_stalled_, &pager_bytes_, &pager_mended_,
      &pager_guessed_, &pager_used_, &pager_unguessed_, &shrunk_, &grown_;
  prometheus::Gauge &budget_, &resident_, &peak_;
  prometheus::Gauge &running_, &connected_, &generation_, &kept_states_, &kept_bytes_;
  prometheus::Histogram& first_token_;
};

}  // namespace skein
