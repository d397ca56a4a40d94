// skein generate and skein chat: text in, text out, one session on this machine.
#include <boost/json/serialize.hpp>
#include <charconv>
#include <istream>

#include "common/cli/in_file.h"
#include "common/env/disk.h"
#include "common/model/sampler.h"
#include "edge_node/tool/internal/model_command.h"
#include "edge_node/tool/token_ids.h"

namespace skein::tool {
namespace {

struct GenerateOptions : ModelOptions {
  std::string prompt;
  std::uint32_t count = 128;
  SamplerOptions sampler;
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

  void feed(std::span<const TokenId> ids) {
    const Feed feed = {ids, &state, logits};
    runner.feed(std::span(&feed, 1));
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

// Prints the continuation; returns how many tokens it has. Stops at end of text or at `stop`.
std::uint32_t continue_text(ToolSession& session, Sampler& sampler, std::uint32_t count,
                            std::string_view stop, Terminal& terminal) {
  const Tokenizer& tokenizer = *session.file.tokenizer();
  std::string text;
  std::size_t printed = 0;
  for (std::uint32_t made = 0; made < count; ++made) {
    const TokenId id = sampler.pick(session.logits);
    if (id == kEndOfText) return made;
    text += tokenizer.bytes_of(id);
    const std::size_t found = stop.empty() ? std::string::npos : text.find(stop);
    // Text that may be the beginning of the stop string waits.
    const std::size_t held = stop.empty() ? 0 : std::min(text.size(), stop.size() - 1);
    const std::size_t end = found != std::string::npos ? found : text.size() - held;
    if (end > printed) {
      terminal.out << std::string_view(text).substr(printed, end - printed) << std::flush;
      printed = end;
    }
    session.feed(std::span(&id, 1));  // the stop string too: the next turn follows it
    if (found != std::string::npos) return made + 1;
  }
  terminal.out << std::string_view(text).substr(printed) << std::flush;
  return count;
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
  ModelArguments arguments = options->model;
  arguments.needs_tokenizer = true;
  arguments.needs_digest = !options->state_in.empty() || !options->state_out.empty();
  const Instant began = env.clock.now();
  CO_TRY(const auto file, ModelFile::open(env.disk, arguments));
  CO_TRY(const auto ids, file->tokenizer()->encode(options->prompt));
  if (ids.empty()) {
    co_return fail(Errc::kUsage, "the prompt is empty", "-p", "give at least one character");
  }
  CO_TRY_VOID(check_token_ids(ids, file->model().config().vocab));
  ToolSession session(env, *file);
  CO_TRY_VOID(co_await load_state(session, options->state_in));
  const Instant loaded = env.clock.now();
  auto prefill = [&]() -> Result<void> {
    session.feed(ids);
    return {};
  };
  CO_TRY_VOID(co_await on_compute(env, prefill));
  const Instant prefilled = env.clock.now();
  Sampler sampler(options->sampler);
  std::uint32_t made = 0;
  auto decode = [&]() -> Result<void> {
    made = continue_text(session, sampler, options->count, {}, terminal);
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
  const boost::json::object stats{{"prompt_tokens", ids.size()},
                                  {"tokens", made},
                                  {"load_s", seconds(loaded - began)},
                                  {"first_token_s", seconds(prefilled - began)},
                                  {"prefill_tokens_per_s", rate(ids.size(), prefilled - loaded)},
                                  {"decode_tokens_per_s", rate(made, decoded - prefilled)},
                                  {"value_rows_read", rows.value_rows_read},
                                  {"value_rows_total", rows.value_rows_total}};
  co_return co_await write_stats(env, options->stats, stats);
}

Task<Result<void>> chat(Env env, Terminal& terminal, std::shared_ptr<GenerateOptions> options) {
  ModelArguments arguments = options->model;
  arguments.needs_tokenizer = true;
  CO_TRY(const auto file, ModelFile::open(env.disk, arguments));
  ToolSession session(env, *file);
  Sampler sampler(options->sampler);
  terminal.err << "an empty line ends the conversation\n";
  for (std::string line; terminal.err << "> " << std::flush, std::getline(terminal.in, line);) {
    if (line.empty()) break;
    CO_TRY(const auto ids, file->tokenizer()->encode("User: " + line + "\n\nAssistant:"));
    CO_TRY_VOID(check_token_ids(ids, file->model().config().vocab));
    auto answer = [&]() -> Result<void> {
      session.feed(ids);
      continue_text(session, sampler, options->count, "\n\n", terminal);
      return {};
    };
    CO_TRY_VOID(co_await on_compute(env, answer));
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

void add_sampler_options(CLI::App* command, const std::shared_ptr<GenerateOptions>& options) {
  command->add_option("-n,--count", options->count, "at most this many tokens (default 128)")
      ->check(CLI::Range(1U, 1U << 24));
  command->add_option("--temperature", options->sampler.temperature, "0 = greedy")
      ->check(between(0, 100));
  command->add_option("--top-p", options->sampler.top_p, "keep the likeliest tokens up to this sum")
      ->check(between(0, 1));
  command->add_option("--top-k", options->sampler.top_k, "keep this many tokens; 0 = all");
  command->add_option("--seed", options->sampler.seed, "of the sampler's random numbers");
}

}  // namespace

void add_generate(CLI::App& tool, Command& chosen) {
  auto options = std::make_shared<GenerateOptions>();
  CLI::App* command = add_model_command(tool, chosen, "generate",
                                        "continue a text; prints the continuation", options);
  command->add_option("-p,--prompt", options->prompt, "the text to continue")->required();
  add_sampler_options(command, options);
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
  command->callback([&chosen, options] {
    chosen.run = [options](Env env, Terminal& terminal) { return chat(env, terminal, options); };
  });
}

}  // namespace skein::tool
