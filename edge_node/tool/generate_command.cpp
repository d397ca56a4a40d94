// skein generate and skein chat: text in, text out, one session on this machine.
#include <boost/json/serialize.hpp>
#include <charconv>
#include <istream>

#include "common/cli/in_file.h"
#include "common/env/disk.h"
#include "common/grammar/json_schema.h"
#include "common/model/sampler.h"
#include "edge_node/generate/text_stream.h"
#include "edge_node/generate/token_picker.h"
#include "edge_node/tool/internal/model_command.h"
#include "edge_node/tool/token_ids.h"

namespace skein::tool {
namespace {

struct GenerateOptions : ModelOptions {
  std::string prompt;
  std::uint32_t count = 128;
  SamplerOptions sampler;
  std::vector<std::string> stops;
  std::string grammar, json_schema;  // files
  std::string state_in, state_out, stats;
};

constexpr std::uint64_t kMaxStateFile = 1U << 30;

// One session: the state, the last logits, and what it cost so far.
struct ToolSession {
  ToolSession(Env env_, const ModelFile& file_)
      : env(env_),
        file(file_),
        runner(file_.model(), env_.compute.parallel()),
        state(file_.model().initial_state()),
        logits(file_.model().config().vocab) {}

  // most: as Feed has it.
  Result<void> feed(std::span<const TokenId> ids, std::uint32_t most) {
    const Feed feed = {ids, &state, logits, most};
    return runner.feed(std::span(&feed, 1));
  }

  Env env;
  const ModelFile& file;
  Runner runner;
  RwkvState state;
  std::vector<float> logits;
};

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

double rate(std::uint64_t tokens, Duration duration) {
  return static_cast<double>(tokens) / std::max(seconds(duration), 1e-9);
}

// The first place at or behind `from` where one of `stops` stands.
std::size_t find_stop(std::string_view text, std::size_t from,
                      const std::vector<std::string>& stops) {
  std::size_t first = std::string_view::npos;
  for (const std::string& stop : stops) first = std::min(first, text.find(stop, from));
  return first;
}

// Prints the continuation; returns how many tokens it has. Stops at end of text, at one of `stops`,
// and when the grammar wants no more.
Result<std::uint32_t> continue_text(ToolSession& session, TokenPicker& picker, std::uint32_t count,
                                    const std::vector<std::string>& stops, Terminal& terminal) {
  const Tokenizer& tokenizer = *session.file.tokenizer();
  std::size_t longest_stop = 1;
  for (const std::string& stop : stops) longest_stop = std::max(longest_stop, stop.size());
  std::string text;
  std::size_t printed = 0;
  std::uint32_t made = 0;
  for (bool stopped = false; made < count && !stopped && !picker.is_complete();) {
    TRY(const TokenId id, picker.pick(session.logits));
    if (id == kEndOfText) break;
    ++made;
    text += tokenizer.bytes_of(id);
    const std::size_t found = find_stop(text, printed, stops);
    stopped = found != std::string::npos;
    if (stopped) text.resize(found);
    // Text that may be the beginning of a stop string waits.
    const std::size_t held = stopped ? 0 : std::min(text.size(), longest_stop - 1);
    const std::size_t end = std::max(printed, text.size() - held);
    terminal.out << std::string_view(text).substr(printed, end - printed) << std::flush;
    printed = end;
    picker.fed(std::span(&id, 1));
    TRY_VOID(session.feed(std::span(&id, 1),
                          picker.most()));  // the stop string too: the next turn follows it
  }
  terminal.out << std::string_view(text).substr(printed) << std::flush;
  return made;
}

// What --grammar or --json-schema asks for.
Task<Result<TokenPicker>> open_picker(Env env, const ModelFile& file,
                                      std::shared_ptr<GenerateOptions> options) {
  const bool schema = !options->json_schema.empty();
  const std::string path = schema ? options->json_schema : options->grammar;
  if (path.empty()) co_return TokenPicker(options->sampler);
  CO_TRY(const Buffer bytes,
         co_await read_file(env.disk, path, std::max(kMaxGrammarBytes, kMaxSchemaBytes)));
  auto grammar = schema ? grammar_of_schema(as_text(bytes)) : Grammar::parse(as_text(bytes));
  if (!grammar) co_return in_file(path, std::move(grammar.error()));
  const std::uint32_t vocab = file.model().config().vocab;
  const Constraint constraint{*grammar, trie_of(*file.tokenizer(), vocab), file.tokenizer()};
  co_return TokenPicker(options->sampler, constraint);
}

ModelArguments arguments_of(const GenerateOptions& options) {
  ModelArguments arguments = options.model;
  arguments.needs_tokenizer = true;
  arguments.needs_digest = !options.state_in.empty() || !options.state_out.empty();
  arguments.saves_state = !options.state_out.empty();
  arguments.follows_grammar = !options.grammar.empty() || !options.json_schema.empty();
  arguments.answer_bytes += sampler_bytes(options.sampler);
  const bool largest = !arguments.follows_grammar && Sampler(options.sampler).most() != 0;
  arguments.largest_share = largest ? 1 : 0;
  return arguments;
}

Task<Result<void>> load_state(ToolSession& session, std::string path) {
  if (path.empty()) co_return Result<void>{};
  CO_TRY(const Buffer bytes, co_await read_file(session.env.disk, path, kMaxStateFile));
  auto state = RwkvState::restore(bytes, session.file.model().config(), session.file.digest());
  if (!state) co_return in_file(path, std::move(state.error()));
  session.state = std::move(*state);
  co_return Result<void>{};
}

Task<Result<void>> write_stats(Env env, std::string path, const boost::json::object& stats) {
  if (path.empty()) co_return Result<void>{};
  const std::string text = boost::json::serialize(stats) + "\n";
  co_return co_await replace_file(env.disk, path, as_bytes(text));
}

Task<Result<void>> generate(Env env, Terminal& terminal, std::shared_ptr<GenerateOptions> options) {
  ModelArguments arguments = arguments_of(*options);
  const Instant began = env.clock.now();
  CO_TRY(const auto file, co_await ModelFile::open(env, arguments));
  CO_TRY(const auto ids, file->tokenizer()->encode(options->prompt));
  if (ids.empty()) {
    co_return fail(Errc::kUsage, "the prompt is empty", "-p", "give at least one character");
  }
  CO_TRY_VOID(check_token_ids(ids, file->model().config().vocab));
  CO_TRY(TokenPicker picker, co_await open_picker(env, *file, options));
  ToolSession session(env, *file);
  CO_TRY_VOID(co_await load_state(session, options->state_in));
  const Instant loaded = env.clock.now();
  auto prefill = [&]() -> Result<void> {
    picker.fed(ids);
    return session.feed(ids, picker.most());
  };
  CO_TRY_VOID(co_await on_compute(env, prefill));
  const Instant prefilled = env.clock.now();
  const PagerCounters opened =
      file->pager() != nullptr ? file->pager()->counters() : PagerCounters{};
  std::uint32_t made = 0;
  auto decode = [&]() -> Result<void> {
    TRY(made, continue_text(session, picker, options->count, options->stops, terminal));
    return {};
  };
  CO_TRY_VOID(co_await on_compute(env, decode));
  const Instant decoded = env.clock.now();
  if (!options->json) terminal.out << "\n";
  if (!options->state_out.empty()) {
    const Buffer bytes = session.state.save(file->digest());
    CO_TRY_VOID(co_await replace_file(env.disk, options->state_out, bytes));
  }
  const Runner::Counters& rows = session.runner.counters();
  boost::json::object stats{{"prompt_tokens", ids.size()},
                            {"tokens", made},
                            {"load_s", seconds(loaded - began)},
                            {"first_token_s", seconds(prefilled - began)},
                            {"prefill_tokens_per_s", rate(ids.size(), prefilled - loaded)},
                            {"decode_tokens_per_s", rate(made, decoded - prefilled)},
                            {"value_rows_read", rows.value_rows_read},
                            {"value_rows_total", rows.value_rows_total},
                            {"head_bytes_read", rows.head_bytes_read},
                            {"head_bytes_total", rows.head_bytes_total}};
  if (file->pager() != nullptr) {
    const PagerCounters paged = file->pager()->counters() - opened;
    stats["bytes_read"] = paged.bytes_read;
    stats["tile_bytes_read"] = paged.tile_bytes;
    stats["stream_restarts"] = paged.restarts;
  }
  co_return co_await write_stats(env, options->stats, stats);
}

Task<Result<void>> chat(Env env, Terminal& terminal, std::shared_ptr<GenerateOptions> options) {
  ModelArguments arguments = arguments_of(*options);
  CO_TRY(const auto file, co_await ModelFile::open(env, arguments));
  CO_TRY(TokenPicker picker, co_await open_picker(env, *file, options));
  ToolSession session(env, *file);
  std::vector<std::string> stops = options->stops;
  stops.emplace_back("\n\n");
  terminal.err << "an empty line ends the conversation\n";
  std::string before;  // ends an answer that did not end as turns do
  for (std::string line; terminal.err << "> " << std::flush, std::getline(terminal.in, line);) {
    if (line.empty()) break;
    CO_TRY(const auto ids, file->tokenizer()->encode(before + "User: " + line + "\n\nAssistant:"));
    CO_TRY_VOID(check_token_ids(ids, file->model().config().vocab));
    auto answer = [&]() -> Result<void> {
      picker.restart();
      picker.fed(ids);
      TRY_VOID(session.feed(ids, picker.most()));
      TRY_VOID(continue_text(session, picker, options->count, stops, terminal));
      return {};
    };
    CO_TRY_VOID(co_await on_compute(env, answer));
    before = picker.is_complete() ? "\n\n" : "";
    terminal.out << "\n";
  }
  co_return Result<void>{};
}

// CLI::Range lets NaN through.
CLI::Validator between(double low, double high) {
  const std::string name = std::to_string(low) + " to " + std::to_string(high);
  const auto check = [=](const std::string& text) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool read = error == std::errc{} && end == text.data() + text.size();
    const bool inside = read && value >= low && value <= high;
    return inside ? std::string() : "'" + text + "' is not a number from " + name;
  };
  return {check, name};
}

CLI::Validator stop_text() {
  const auto check = [](const std::string& text) {
    return !text.empty() && text.size() <= kMaxStopBytes
               ? std::string()
               : "a stop text has 1 to " + std::to_string(kMaxStopBytes) + " bytes";
  };
  return {check, "TEXT"};
}

void add_sampler_options(CLI::App* command, const std::shared_ptr<GenerateOptions>& options) {
  command->add_option("-n,--count", options->count, "at most this many tokens (default 128)")
      ->check(CLI::Range(1U, 1U << 24));
  SamplerOptions& sampler = options->sampler;
  const auto add_number = [command](const char* name, float& number, SamplerRange range,
                                    const char* about) {
    command->add_option(name, number, about)->check(between(range.least, range.most));
  };
  add_number("--temperature", sampler.temperature, kTemperatureRange, "0 = greedy");
  add_number("--top-p", sampler.top_p, kShareRange, "keep the likeliest tokens up to this sum");
  command->add_option("--top-k", sampler.top_k, "keep this many tokens; 0 = all");
  add_number("--min-p", sampler.min_p, kShareRange,
             "keep what is this likely beside the likeliest");
  add_number("--repetition-penalty", sampler.repetition_penalty, kRepetitionPenaltyRange,
             "divides the logits of recent tokens; 1 = off");
  command->add_option("--repeat-last-n", sampler.repeat_last_n, "how many tokens are recent")
      ->check(CLI::Range(0U, kMaxRepeatLastN));
  add_number("--frequency-penalty", sampler.frequency_penalty, kPenaltyRange,
             "taken off for every time a token was generated");
  add_number("--presence-penalty", sampler.presence_penalty, kPenaltyRange,
             "taken off once a token was generated");
  command->add_option("--seed", sampler.seed, "of the sampler's random numbers");
  command->add_option("--stop", options->stops, "ends the text where this would stand; repeatable")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->check(stop_text());
  command->add_option("--grammar", options->grammar, "file in GBNF that the text follows");
  command->add_option("--json-schema", options->json_schema, "file: the text is JSON that fits it")
      ->excludes("--grammar");
}

}  // namespace

void add_generate(CLI::App& tool, Command& chosen) {
  auto options = std::make_shared<GenerateOptions>();
  CLI::App* command = add_model_command(tool, chosen, "generate",
                                        "continue a text; prints the continuation", options);
  command->add_option("-p,--prompt", options->prompt, "the text to continue")->required();
  add_sampler_options(command, options);
  add_memory_budget(command, chosen, options->model);
  command->add_option("--state-in", options->state_in, "start from this saved state");
  command->add_option("--state-out", options->state_out, "save the state at the end");
  command->add_option("--stats", options->stats, "write counts and speeds as JSON");
  command->callback([&chosen, options] {
    chosen.run = [options](Env env, Terminal& terminal) {
      return generate(env, terminal, options);
    };
  });
}

void add_chat(CLI::App& tool, Command& chosen) {
  auto options = std::make_shared<GenerateOptions>();
  CLI::App* command =
      add_model_command(tool, chosen, "chat", "talk to the model, line by line", options);
  add_sampler_options(command, options);
  add_memory_budget(command, chosen, options->model);
  command->callback([&chosen, options] {
    chosen.run = [options](Env env, Terminal& terminal) { return chat(env, terminal, options); };
  });
}

}  // namespace skein::tool
