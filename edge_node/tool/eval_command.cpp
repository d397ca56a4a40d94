// skein eval: how well a model predicts a text.
#include <cmath>
#include <iomanip>

#include "common/env/disk.h"
#include "common/model/evaluate.h"
#include "edge_node/tool/internal/model_command.h"
#include "edge_node/tool/token_ids.h"

namespace skein::tool {
namespace {

struct EvalOptions : ModelOptions {
  std::string text;
  std::uint32_t context = 512;
  std::uint64_t limit = 0;
};

constexpr std::uint64_t kMaxTextFile = 1U << 30;

Task<Result<void>> eval(Env env, Terminal& terminal, std::shared_ptr<EvalOptions> options) {
  ModelArguments arguments = options->model;
  arguments.needs_tokenizer = true;
  CO_TRY(const Buffer text, co_await read_file(env.disk, options->text, kMaxTextFile));
  arguments.logits_of_rows = true;
  arguments.largest_share = 0;
  arguments.answer_bytes = 0;
  arguments.extra_bytes = text.size() * 2 * sizeof(TokenId);  // at most an id a byte, and growing
  CO_TRY(const auto file, co_await ModelFile::open(env, arguments));
  std::string_view wanted = as_text(text);
  if (options->limit > 0) wanted = wanted.substr(0, options->limit);
  CO_TRY(const auto ids, file->tokenizer()->encode(wanted));
  CO_TRY_VOID(check_token_ids(ids, file->model().config().vocab));
  if (ids.empty()) {
    co_return fail(Errc::kUsage, "the text is empty", options->text, "give a text to predict");
  }
  const Instant began = env.clock.now();
  const auto show = [&](std::uint64_t done) {
    if (terminal.err_is_terminal) {
      terminal.err << "\r" << done << " of " << ids.size() << " tokens" << std::flush;
    }
    return true;
  };
  EvalResult result;
  auto work = [&]() -> Result<void> {
    TRY(result, evaluate(file->model(), env.compute.parallel(), ids, options->context, show));
    return {};
  };
  CO_TRY_VOID(co_await on_compute(env, work));
  if (terminal.err_is_terminal) terminal.err << "\n";
  const double seconds = std::chrono::duration<double>(env.clock.now() - began).count();
  const double per_token = result.nll / static_cast<double>(result.tokens);
  const double bits = result.nll / std::log(2.0) / static_cast<double>(wanted.size());
  if (options->json) {
    print(terminal,
          {{"tokens", result.tokens},
           {"bytes", wanted.size()},
           {"nll_nats", result.nll},
           {"top1", static_cast<double>(result.hits) / static_cast<double>(result.tokens)},
           {"perplexity", std::exp(per_token)},
           {"bits_per_byte", bits},
           {"seconds", seconds}});
  } else {
    terminal.out << std::fixed << std::setprecision(6) << result.tokens << " tokens, " << per_token
                 << " nats per token, perplexity " << std::exp(per_token) << ", " << bits
                 << " bits per byte, " << std::setprecision(1) << seconds << " s\n";
  }
  co_return Result<void>{};
}

}  // namespace

void add_eval(CLI::App& tool, Command& chosen) {
  auto options = std::make_shared<EvalOptions>();
  CLI::App* command =
      add_model_command(tool, chosen, "eval", "how well a model predicts a text", options);
  command->add_option("--text", options->text, "the text file")->required();
  add_memory_budget(command, chosen, options->model);
  command->add_option("--context", options->context, "ids per window (default 512)")
      ->check(CLI::Range(1U, 1U << 20));
  command->add_option("--limit-bytes", options->limit, "only the beginning of the text; 0 = all");
  command->callback([&chosen, options] {
    chosen.run = [options](Env env, Terminal& terminal) { return eval(env, terminal, options); };
  });
}

}  // namespace skein::tool
