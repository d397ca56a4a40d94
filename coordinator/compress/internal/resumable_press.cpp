#include "coordinator/compress/internal/resumable_press.h"

#include "common/crypto/sha256.h"

namespace skein {
namespace {

void put(Sha256& hash, std::string_view text) {
  Buffer length;
  append_le(length, std::uint64_t{text.size()});
  hash.add(length);
  hash.add(as_bytes(text));
}

void put(Sha256& hash, std::span<const TokenId> ids) { put(hash, as_text(std::as_bytes(ids))); }

}  // namespace

Digest run_digest(const CompressionRequest& request, const PressInput& input, Digest model) {
  Sha256 hash;
  put(hash, SKEIN_VERSION);
  put(hash, request.preset);
  put(hash, request.bits_per_weight ? std::to_string(*request.bits_per_weight) : "");
  put(hash, request.memory_budget ? std::to_string(*request.memory_budget) : "");
  for (const std::string& setting : request.settings) put(hash, "set " + setting);
  for (const std::string& technique : request.only) put(hash, "only " + technique);
  put(hash, input.text);
  put(hash, input.held_out);
  hash.add(model.bytes);
  return hash.finish();
}

Task<Result<ResumedPress>> press_resumably(Env env, PressInput input, const CompressionPlan& plan,
                                           std::string path, Digest run) {
  ResumedPress out;
  CO_TRY(out.journal, co_await PressJournal::open(env, std::move(path), run));
  out.taken_up = out.journal->found();
  input.finished = out.journal.get();
  TaskGroup writing(env.executor);
  writing.spawn(out.journal->write());
  Result<PressResult> pressed = fail(Errc::kCancelled, "not run");
  std::function<void()> job = [&] { pressed = press(input, plan); };
  co_await env.compute.run(std::move(job), Duration::zero());
  out.journal->close();
  co_await writing.join();
  CO_TRY(out.result, std::move(pressed));
  co_return std::move(out);
}

}  // namespace skein
