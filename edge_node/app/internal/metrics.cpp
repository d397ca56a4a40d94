#include "edge_node/app/internal/metrics.h"

namespace skein {

namespace {

const prometheus::Histogram::BucketBoundaries kFirstTokenBounds{0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                                                0.5,   1,    2.5,   5,    10,  30};

double seconds(Duration duration) { return static_cast<double>(duration.count()) / 1e9; }

// Counters of other rooms only grow; prometheus counters can only be added to.
void raise(prometheus::Counter& counter, std::uint64_t value) {
  counter.Increment(static_cast<double>(value) - counter.Value());
}

}  // namespace

EdgeMetrics::EdgeMetrics()
    : tokens_generated_(counter("skein_tokens_generated_total", "Tokens picked for answers.")),
      prompt_tokens_(counter("skein_prompt_tokens_total", "Tokens of prompts.")),
      rows_read_(counter("skein_value_rows_read_total",
                         "Rows of channel-mix value matrices that were read.")),
      rows_(counter("skein_value_rows_total", "Rows there were; the rest were exact zeros.")),
      decode_seconds_(
          counter("skein_decode_seconds_total", "Time between first and last token of answers.")),
      passes_(counter("skein_passes_total", "Passes over the weights.")),
      pass_rows_(counter("skein_pass_rows_total",
                         "Tokens that those passes took: the batch size is this over passes.")),
      pass_sessions_(counter("skein_pass_sessions_total", "Sessions that shared those passes.")),
      pages_fetched_(counter("skein_pages_fetched_total", "Pages taken from the coordinator.")),
      update_bytes_(counter("skein_update_bytes_total", "Bytes of those pages.")),
      update_wire_bytes_(
          counter("skein_update_wire_bytes_total", "Bytes those pages took on the link, coded.")),
      pages_refused_(counter("skein_pages_refused_total", "Pages that were not what they said.")),
      manifests_refused_(
          counter("skein_manifests_refused_total", "Manifests with a wrong signature or digest.")),
      switches_(counter("skein_slot_switches_total", "Slots committed by updates.")),
      update_failures_(counter("skein_update_failures_total", "Updates given up.")),
      split_sessions_(counter("skein_split_sessions_total", "Sessions begun split.")),
      split_steps_(counter("skein_split_steps_total", "Steps sent to the coordinator.")),
      split_repeats_(counter("skein_split_repeats_total", "Steps that had to be repeated.")),
      split_fallbacks_(
          counter("skein_split_fallbacks_total", "Split sessions that went on alone.")),
      split_replayed_(
          counter("skein_split_replayed_tokens_total", "Tokens replayed to go on alone.")),
      rounds_counted_(
          counter("skein_rounds_counted_total", "Federated rounds this device was counted in.")),
      pager_hits_(counter("skein_pager_hits_total",
                          "Pages and rows that were in memory when a pass came to them.")),
      pager_misses_(counter("skein_pager_misses_total", "Those that it waited for.")),
      pager_stalled_(counter("skein_pager_stall_seconds_total", "Passes' waits for storage.")),
      pager_bytes_(counter("skein_pager_read_bytes_total", "Read from storage for passes.")),
      pager_mended_(counter("skein_pager_mended_pages_total",
                            "Pages that were wrong on storage and were written anew.")),
      pager_guessed_(counter("skein_pager_guessed_rows_total",
                             "Rows read before they were known to be wanted.")),
      pager_used_(counter("skein_pager_used_guesses_total",
                          "Those that were wanted: over guessed rows it is the precision.")),
      pager_unguessed_(
          counter("skein_pager_unguessed_rows_total",
                  "Wanted rows that no guess brought, in passes that guess: used guesses over "
                  "these and themselves are the recall.")),
      shrunk_(
          counter("skein_memory_shrunk_total", "Times that pressure took memory from weights.")),
      grown_(counter("skein_memory_grown_total", "Times that calm gave some back.")),
      budget_(metrics_.gauge("skein_memory_budget_bytes",
                             "What the process may take now; 0 = no budget.")),
      resident_(metrics_.gauge("skein_memory_resident_bytes", "What the process takes.")),
      peak_(metrics_.gauge("skein_memory_peak_bytes", "The most that it ever took.")),
      running_(metrics_.gauge("skein_answers_running", "Answers under way.")),
      connected_(
          metrics_.gauge("skein_coordinator_connected", "1 while the coordinator link stands.")),
      generation_(
          metrics_.gauge("skein_slot_generation", "Generation of the active slot; 0 = none.")),
      kept_states_(metrics_.gauge("skein_kept_states", "Sessions' states kept between answers.")),
      kept_bytes_(metrics_.gauge("skein_kept_state_bytes", "Memory that those take.")),
      first_token_(metrics_.histogram("skein_time_to_first_token_seconds",
                                      "From the request to its first token.", kFirstTokenBounds)) {
  const char* ends[] = {"done", "cancelled", "refused", "failed"};
  for (int i = 0; i < 4; ++i) {
    answers_[i] =
        &metrics_.counter("skein_answers_total", "Answers by how they ended.", {{"end", ends[i]}});
  }
}

void EdgeMetrics::count_answer(AnswerEnd end) { answers_[static_cast<int>(end)]->Increment(); }

void EdgeMetrics::count_tokens(const Answer& answer, const Runner::Counters& rows) {
  tokens_generated_.Increment(static_cast<double>(answer.completion_tokens));
  prompt_tokens_.Increment(static_cast<double>(answer.prompt_tokens));
  split_rows_.value_rows_read += rows.value_rows_read;
  split_rows_.value_rows_total += rows.value_rows_total;
  decode_seconds_.Increment(seconds(answer.whole - answer.first_token));
  if (answer.first_token > Duration{}) first_token_.Observe(seconds(answer.first_token));
}

void EdgeMetrics::set_running(std::size_t answers) { running_.Set(static_cast<double>(answers)); }
void EdgeMetrics::set_link(bool connected) { connected_.Set(connected ? 1 : 0); }
void EdgeMetrics::set_slot(std::uint64_t generation) {
  generation_.Set(static_cast<double>(generation));
}

void EdgeMetrics::set_kept(std::size_t states, std::size_t bytes) {
  kept_states_.Set(static_cast<double>(states));
  kept_bytes_.Set(static_cast<double>(bytes));
}

void EdgeMetrics::take(const Updater::Counters& counters) {
  raise(pages_fetched_, counters.pages_fetched);
  raise(update_bytes_, counters.bytes_fetched);
  raise(update_wire_bytes_, counters.wire_bytes);
  raise(pages_refused_, counters.pages_refused);
  raise(manifests_refused_, counters.manifests_refused);
  raise(switches_, counters.switches);
  raise(update_failures_, counters.failures);
}

void EdgeMetrics::take(const SplitClient::Counters& counters) {
  raise(split_sessions_, counters.sessions);
  raise(split_steps_, counters.steps);
  raise(split_repeats_, counters.repeats);
  raise(split_fallbacks_, counters.fallbacks);
  raise(split_replayed_, counters.replayed_tokens);
}

void EdgeMetrics::take(const PassCounters& passes) {
  raise(passes_, passes.passes);
  raise(pass_rows_, passes.rows);
  raise(pass_sessions_, passes.sequences);
  raise(rows_read_, passes.value_rows_read + split_rows_.value_rows_read);
  raise(rows_, passes.value_rows_total + split_rows_.value_rows_total);
}

void EdgeMetrics::take(const PagerCounters& pager, std::uint64_t pages_mended) {
  raise(pager_hits_, pager.hits);
  raise(pager_misses_, pager.misses);
  raise(pager_bytes_, pager.bytes_read);
  raise(pager_mended_, pages_mended);
  raise(pager_guessed_, pager.rows_guessed);
  raise(pager_used_, pager.guesses_used);
  raise(pager_unguessed_, pager.unguessed);
  pager_stalled_.Increment(seconds(pager.stalled) - pager_stalled_.Value());
}

void EdgeMetrics::set_memory(std::uint64_t budget, const std::optional<ProcessMemory>& process) {
  budget_.Set(static_cast<double>(budget));
  if (!process) return;
  resident_.Set(static_cast<double>(process->resident_bytes));
  peak_.Set(static_cast<double>(process->peak_bytes));
}

void EdgeMetrics::set_resized(std::uint64_t shrunk, std::uint64_t grown) {
  raise(shrunk_, shrunk);
  raise(grown_, grown);
}

void EdgeMetrics::take(const Learner::Status& status) {
  raise(rounds_counted_, status.rounds_counted);
}

}  // namespace skein
