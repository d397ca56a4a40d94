// skein logits: the numbers themselves, for comparing with any other implementation.
#include "common/env/disk.h"
#include "edge_node/tool/internal/model_command.h"
#include "edge_node/tool/token_ids.h"

namespace skein::tool {
namespace {

struct LogitsOptions : ModelOptions {
  std::string tokens, tokens_file, prompt, out;
  bool all = false;
};

constexpr std::uint64_t kMaxTokensFile = 64U << 20;
constexpr std::uint64_t kMaxRowsBytes = 4ULL << 30;

Task<Result<std::vector<TokenId>>> input_ids(Env env, const LogitsOptions& options,
                                             const ModelFile& file) {
  const int given =
      !options.tokens.empty() + !options.tokens_file.empty() + !options.prompt.empty();
  if (given != 1) {
    co_return fail(Errc::kUsage, "one input is needed", "skein logits",
                   "give one of --tokens, --tokens-file and --prompt");
  }
  std::vector<TokenId> ids;
  if (!options.prompt.empty()) {
    CO_TRY(ids, file.tokenizer()->encode(options.prompt));
  } else if (!options.tokens.empty()) {
    CO_TRY(ids, parse_token_ids(options.tokens, "--tokens"));
  } else {
    CO_TRY(const Buffer text, co_await read_file(env.disk, options.tokens_file, kMaxTokensFile));
    CO_TRY(ids, parse_token_ids(as_text(text), options.tokens_file));
  }
  CO_TRY_VOID(check_token_ids(ids, file.manifest().config.vocab));
  co_return ids;
}

// An id for two letters at most, or one a byte of a prompt.
std::uint64_t most_ids(Disk& disk, const LogitsOptions& options) {
  const auto file = disk.map(options.tokens_file);
  const std::uint64_t letters = options.tokens.size() + (file ? (*file)->bytes().size() : 0);
  return options.prompt.size() + letters / 2 + 1;
}

Result<void> compute_rows(Env env, const ModelFile& file, const std::vector<TokenId>& ids, bool all,
                          std::vector<float>& rows) {
  const std::uint32_t vocab = file.model().config().vocab;
  Runner runner(file.model(), env.compute.parallel());
  RwkvState state = file.model().initial_state();
  const std::uint64_t count = all ? ids.size() : 1;
  if (count * vocab * sizeof(float) > kMaxRowsBytes) {
    return fail(Errc::kOutOfRoom, std::to_string(count) + " rows of logits do not fit in memory",
                "--all", "give fewer tokens at a time");
  }
  rows.resize(count * vocab);
  const Feed feed = {ids, &state, rows};
  return runner.feed(std::span(&feed, 1));
}

Task<Result<void>> logits(Env env, Terminal& terminal, std::shared_ptr<LogitsOptions> options) {
  ModelArguments arguments = options->model;
  arguments.needs_tokenizer = !options->prompt.empty();
  arguments.largest_share = 0;
  if (options->all) arguments.extra_rows = most_ids(env.disk, *options);
  CO_TRY(const auto file, co_await ModelFile::open(env, arguments));
  CO_TRY(const auto ids, co_await input_ids(env, *options, *file));
  std::vector<float> rows;
  auto work = [&] { return compute_rows(env, *file, ids, options->all, rows); };
  CO_TRY_VOID(co_await on_compute(env, work));
  const ByteView bytes = std::as_bytes(std::span(rows));
  if (options->out.empty() || options->out == "-") {
    terminal.out.write(reinterpret_cast<const char*>(bytes.data()),
                       static_cast<std::streamsize>(bytes.size()));
    co_return Result<void>{};
  }
  CO_TRY_VOID(co_await replace_file(env.disk, options->out, bytes));
  if (options->json) {
    print(terminal, {{"rows", options->all ? ids.size() : 1},
                     {"vocab", file->model().config().vocab},
                     {"file", options->out}});
  }
  co_return Result<void>{};
}

}  // namespace

void add_logits(CLI::App& tool, Command& chosen) {
  auto options = std::make_shared<LogitsOptions>();
  CLI::App* command = add_model_command(
      tool, chosen, "logits", "float32 logits after the last token, or after every one", options);
  command->add_option("--tokens", options->tokens, "ids, e.g. 1,2,3");
  command->add_option("--tokens-file", options->tokens_file, "a file of ids");
  command->add_option("--prompt", options->prompt, "text");
  add_memory_budget(command, chosen, options->model);
  command->add_flag("--all", options->all, "a row after every token");
  command->add_option("-o,--output", options->out, "file for the rows (default: standard output)");
  command->callback([&chosen, options] {
    chosen.run = [options](Env env, Terminal& terminal) { return logits(env, terminal, options); };
  });
}

}  // namespace skein::tool
