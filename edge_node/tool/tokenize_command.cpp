// skein tokenize and skein detokenize: standard input to ids and back.
#include <charconv>
#include <iterator>

#include "edge_node/tool/internal/model_command.h"

namespace skein::tool {
namespace {

std::string read_all(std::istream& in) {
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

Task<Result<std::unique_ptr<ModelFile>>> open_with_tokenizer(Env env, const ModelOptions& options) {
  ModelArguments arguments = options.model;
  arguments.needs_tokenizer = true;
  return ModelFile::open(env.disk, std::move(arguments));
}

Task<Result<void>> tokenize(Env env, Terminal& terminal, std::shared_ptr<ModelOptions> options) {
  CO_TRY(const auto file, co_await open_with_tokenizer(env, *options));
  CO_TRY(const auto ids, file->tokenizer()->encode(read_all(terminal.in)));
  const char* separator = "";
  for (const TokenId id : ids) {
    terminal.out << separator << id;
    separator = " ";
  }
  terminal.out << "\n";
  co_return Result<void>{};
}

Task<Result<void>> detokenize(Env env, Terminal& terminal, std::shared_ptr<ModelOptions> options) {
  CO_TRY(const auto file, co_await open_with_tokenizer(env, *options));
  std::vector<TokenId> ids;
  for (std::string word; terminal.in >> word;) {
    TokenId id = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc{} || end != word.data() + word.size()) {
      co_return fail(Errc::kUsage, "'" + word + "' is not a token id", "standard input",
                     "write ids separated by spaces");
    }
    ids.push_back(id);
  }
  CO_TRY(const std::string text, file->tokenizer()->decode(ids));
  terminal.out << text;
  co_return Result<void>{};
}

}  // namespace

void add_tokenize(CLI::App& tool, Command& chosen) {
  auto options = std::make_shared<ModelOptions>();
  add_model_command(tool, chosen, "tokenize", "text on standard input to ids", options)
      ->callback([&chosen, options] {
        chosen.run = [options](Env env, Terminal& terminal) {
          return tokenize(env, terminal, options);
        };
      });
  add_model_command(tool, chosen, "detokenize", "ids on standard input to text", options)
      ->callback([&chosen, options] {
        chosen.run = [options](Env env, Terminal& terminal) {
          return detokenize(env, terminal, options);
        };
      });
}

}  // namespace skein::tool
