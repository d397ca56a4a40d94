// How well rows that a token needs are read ahead, and what is read, on a text:
//   rows_bench MODEL.skein TEXT [KEPT [TOKENS [AHEAD_BYTES]]]
// Keys and all else stay in memory, this share (0.5) of the value rows is kept; a token a pass. The
// first half of the tokens warms up.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "common/env/real/real_env.h"
#include "common/model/model.h"
#include "edge_node/paging/pager.h"
#include "kernels/isa/isa.h"

namespace skein {
namespace {

struct Arguments {
  std::string model, text;
  double kept = 0.5;
  std::size_t tokens = 512;
  std::uint64_t ahead = std::uint64_t{1} << 20;
};

ResidencyPlan plan_of(const Pager::Artifact& artifact, const Arguments& arguments) {
  const ResidencyRequest request = {.budget = std::uint64_t{1} << 36,
                                    .alignment = artifact.alignment};
  ResidencyPlan plan = *plan_residency(artifact.manifest, request);
  double rows = 0;
  for (const std::uint32_t index : order_of_use(artifact.manifest)) {
    const TensorEntry& tensor = artifact.manifest.tensors[index];
    if (tensor.layout != Layout::kRows) continue;
    plan.tensors[index] = {Residence::kRows, 0};
    rows += tensor.rows;
    const std::uint64_t bytes = stored_bytes(tensor.format, tensor.layout, 1, tensor.cols);
    plan.kept_row_bytes = static_cast<std::uint32_t>((bytes + 63) / 64 * 64);
    plan.value_bytes += bytes * tensor.rows;
  }
  plan.staging_bytes = std::uint64_t{4} << 20;
  plan.ahead_bytes = arguments.ahead;
  plan.kept_rows = static_cast<std::uint32_t>(arguments.kept * rows);
  plan.paged_bytes = plan.value_bytes;
  plan.most_rows = 8;
  return plan;
}

void print(const PagerCounters& from, const PagerCounters& to, std::size_t tokens,
           const ResidencyPlan& plan, double seconds) {
  const auto share = [](std::uint64_t part, std::uint64_t all) {
    return static_cast<double>(part) / static_cast<double>(std::max<std::uint64_t>(all, 1));
  };
  const std::uint64_t guessed = to.rows_guessed - from.rows_guessed;
  const std::uint64_t used = to.guesses_used - from.guesses_used;
  const std::uint64_t along = to.came_along - from.came_along;
  const std::uint64_t missed = to.row_misses - from.row_misses;
  const std::uint64_t unguessed = to.unguessed - from.unguessed;
  const std::uint64_t held = to.row_hits - from.row_hits;
  const auto each = [&](std::uint64_t sum) { return share(sum, tokens); };
  const double stalled = std::chrono::duration<double>(to.stalled - from.stalled).count();
  std::printf(
      "a token: %.1f rows kept, %.1f ahead, %.1f along, %.1f missed; %.1f guessed\n"
      "recall %.3f of rows not kept (passes that guess), precision %.3f (%.3f with those along)\n"
      "read %.3f of the value matrices a token in %.1f reads, gap %llu, %.1f tokens/s, stalled "
      "%.3f\n",
      each(held), each(used), each(along), each(missed), each(guessed),
      share(used + along, used + along + unguessed), share(used, guessed),
      share(used + along, guessed + along),
      share(to.value_bytes - from.value_bytes, tokens) / static_cast<double>(plan.value_bytes),
      each(to.row_reads - from.row_reads), static_cast<unsigned long long>(to.read_gap),
      static_cast<double>(tokens) / seconds, stalled / seconds);
}

Result<void> run(Env env, const Arguments& arguments) {
  select_isa("");
  TRY(Pager::Artifact artifact, Pager::look_at(env.disk, arguments.model));
  ResidencyPlan plan = plan_of(artifact, arguments);
  TagKey key{};
  Parallel& parallel = env.compute.parallel();
  TRY(const auto pager,
      Pager::open(env.disk, env.clock, parallel, std::move(artifact), std::move(plan), key));
  TRY(const auto model, Model::open(*pager));
  std::ifstream file(arguments.text, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  TRY(const auto ids, model->tokenizer()->encode(text));
  const std::size_t count = std::min(arguments.tokens, ids.size());
  Runner runner(*model, parallel);
  RwkvState state = model->initial_state();
  std::vector<float> logits(model->config().vocab);
  PagerCounters warm;
  Instant began = env.clock.now();
  for (std::size_t i = 0; i < count; ++i) {
    if (i == count / 2) {
      warm = pager->counters();
      began = env.clock.now();
    }
    TRY_VOID(runner.step(ids[i], state, logits));
  }
  const double seconds = std::chrono::duration<double>(env.clock.now() - began).count();
  print(warm, pager->counters(), count - count / 2, pager->plan(), seconds);
  return {};
}

}  // namespace
}  // namespace skein

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  skein::Arguments arguments{argv[1], argv[2]};
  if (argc > 3) arguments.kept = std::strtod(argv[3], nullptr);
  if (argc > 4) arguments.tokens = std::strtoull(argv[4], nullptr, 10);
  if (argc > 5) arguments.ahead = std::strtoull(argv[5], nullptr, 10);
  skein::RealEnv real({.compute_threads = 1});
  const auto done = skein::run(real.env(), arguments);
  if (!done) std::printf("%s\n", to_string(done.error()).c_str());
  return done ? 0 : 1;
}
