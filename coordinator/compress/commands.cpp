#include "coordinator/compress/commands.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <iomanip>
#include <ostream>

#include "common/artifact/artifact_file.h"
#include "common/cli/in_file.h"
#include "common/crypto/ed25519.h"
#include "common/env/disk.h"
#include "common/model/tokenizer.h"
#include "coordinator/compress/internal/delta_commands.h"
#include "coordinator/compress/internal/settings.h"
#include "coordinator/compress/press.h"

namespace skein {
namespace {

namespace json = boost::json;

struct MakeOptions {
  std::string in, out, vocabulary, key, name, version, report;
  std::string precision = "keep";
  std::string preset;
  std::vector<std::string> settings;
  bool json = false;
};

// What a MODEL argument holds, as a checkpoint: the mapped file or the unpacked artifact.
struct Source {
  std::unique_ptr<MappedFile> file;
  std::unique_ptr<PageSource> artifact;
  std::vector<Buffer> storage;
  Buffer vocabulary;
  Checkpoint checkpoint;
};

constexpr std::uint64_t kMaxVocabularyFile = 64U << 20;
constexpr std::uint64_t kMaxKeyFile = 64 * 1024;

// An artifact whose vocabulary cannot be read, or is another model's, would be of no use.
Result<void> check_vocabulary(const Source& source, const std::string& file) {
  const auto tokenizer = Tokenizer::parse(as_text(source.vocabulary));
  if (!tokenizer) return in_file(file, tokenizer.error());
  TRY(const ModelConfig config, find_config(source.checkpoint));
  if ((*tokenizer)->largest_id() < config.vocab) return {};
  return fail(Errc::kUnsupported,
              "the vocabulary goes to id " + std::to_string((*tokenizer)->largest_id()) +
                  ", the model to " + std::to_string(config.vocab - 1),
              file, "name the vocabulary that the model was trained with");
}

Task<Result<Source>> open_source(Env env, const MakeOptions& options) {
  Source source;
  CO_TRY(source.file, env.disk.map(options.in));
  if (is_artifact(source.file->bytes())) {
    CO_TRY(source.artifact, ArtifactFile::open(std::move(source.file), options.in));
    CO_TRY(source.checkpoint, tensors_of(*source.artifact, source.storage));
    CO_TRY(source.vocabulary, vocabulary_of(*source.artifact));
  } else {
    CO_TRY(source.checkpoint, read_checkpoint(source.file->bytes(), options.in));
    source.vocabulary = to_buffer(source.checkpoint.vocabulary);
  }
  if (!options.vocabulary.empty()) {
    CO_TRY(source.vocabulary, co_await read_file(env.disk, options.vocabulary, kMaxVocabularyFile));
  }
  if (!source.vocabulary.empty()) {
    const std::string& named = options.vocabulary;
    CO_TRY_VOID(check_vocabulary(source, named.empty() ? options.in : named));
  }
  co_return source;
}

Task<Result<std::optional<SigningKey>>> read_key(Env env, std::string path) {
  if (path.empty()) co_return std::optional<SigningKey>{};
  CO_TRY(const Buffer pem, co_await read_file(env.disk, path, kMaxKeyFile));
  auto key = signing_key_from_pem(as_text(pem));
  if (!key) co_return in_file(path, std::move(key.error()));
  co_return *key;
}

Result<Precision> precision_of(const MakeOptions& options) {
  if (options.preset == "near-lossless") {
    TRY(const PressSettings settings, parse_settings(options.settings));
    return settings.format;
  }
  if (!options.preset.empty()) {
    return fail(Errc::kUsage, "the preset '" + options.preset + "' is not built yet", "--preset",
                "use near-lossless");
  }
  if (options.precision == "keep") return Precision::kKeep;
  if (options.precision == "f32") return Precision::kF32;
  if (options.precision == "bf16") return Precision::kBf16;
  if (options.precision == "f16") return Precision::kF16;
  return fail(Errc::kUsage, "'" + options.precision + "' is not a precision", "--precision",
              "use keep, f32, bf16 or f16");
}

json::object describe(const PressResult& pressed, const Digest& digest, double seconds) {
  json::array tensors;
  std::uint64_t before = 0;
  std::uint64_t after = 0;
  for (const TensorReport& tensor : pressed.tensors) {
    before += tensor.bytes_before;
    after += tensor.bytes_after;
    tensors.push_back(json::object{{"name", tensor.name},
                                   {"format", name_of(tensor.format)},
                                   {"bytes_before", tensor.bytes_before},
                                   {"bytes", tensor.bytes_after},
                                   {"relative_error", tensor.relative_error}});
  }
  return {{"digest", digest.hex()},
          {"bytes_before", before},
          {"bytes", after},
          {"pages", pressed.artifact->manifest().pages.size()},
          {"tensors", std::move(tensors)},
          {"seconds", seconds}};
}

Task<Result<void>> make_artifact(Env env, Terminal& terminal,
                                 std::shared_ptr<MakeOptions> options) {
  const Instant began = env.clock.now();
  CO_TRY(const Precision precision, precision_of(*options));
  CO_TRY(const std::optional<SigningKey> key, co_await read_key(env, options->key));
  CO_TRY(const Source source, co_await open_source(env, *options));
  ConvertOptions convert_options;
  convert_options.precision = precision;
  convert_options.name = options->name;
  convert_options.version = options->version;
  if (source.artifact && options->name.empty())
    convert_options.name = source.artifact->manifest().name;
  convert_options.vocabulary = source.vocabulary;
  Result<PressResult> pressed = fail(Errc::kCancelled, "not run");
  std::function<void()> job = [&] { pressed = press(source.checkpoint, convert_options); };
  co_await env.compute.run(std::move(job), Duration::zero());
  if (!pressed) co_return in_file(options->in, std::move(pressed.error()));
  CO_TRY(const Digest digest,
         co_await write_artifact(env.disk, options->out, *pressed->artifact, key));
  const double seconds = std::chrono::duration<double>(env.clock.now() - began).count();
  const json::object report = describe(*pressed, digest, seconds);
  if (!options->report.empty()) {
    const std::string text = json::serialize(report) + "\n";
    CO_TRY_VOID(co_await replace_file(env.disk, options->report, as_bytes(text)));
  }
  if (options->json) {
    terminal.out << report << "\n";
  } else {
    terminal.out << options->out << ": " << report.at("bytes") << " bytes of weights (from "
                 << report.at("bytes_before") << "), " << report.at("pages") << " pages, "
                 << digest.short_hex() << "\n";
  }
  co_return Result<void>{};
}

Task<Result<void>> new_keys(Env env, Terminal& terminal, std::shared_ptr<MakeOptions> options) {
  const std::string secret = join_path(options->out, "skein.key");
  CO_TRY_VOID(co_await env.disk.make_directories(options->out));
  CO_TRY(const bool present, env.disk.exists(secret));
  if (present) {
    co_return fail(Errc::kRefused, "a key is there already", secret, "choose another directory");
  }
  SigningKey key;
  env.random.fill(key.seed);
  const std::string secret_pem = to_pem(key);
  const std::string public_pem = to_pem(key.public_key());
  const std::string public_path = join_path(options->out, "skein.pub");
  CO_TRY_VOID(co_await replace_file(env.disk, secret, as_bytes(secret_pem)));
  CO_TRY_VOID(co_await replace_file(env.disk, public_path, as_bytes(public_pem)));
  terminal.out << secret << " (keep it secret)\n" << public_path << "\n";
  co_return Result<void>{};
}

CLI::App* add_maker(CLI::App& tool, Command& chosen, const char* name, const char* about,
                    const std::shared_ptr<MakeOptions>& options) {
  CLI::App* command = tool.add_subcommand(name, about);
  command->add_option("MODEL", options->in, "a checkpoint or a .skein artifact")->required();
  command->add_option("-o,--output", options->out, "the artifact to write")->required();
  command->add_option("--vocab", options->vocabulary, "vocabulary file to embed");
  command->add_option("--key", options->key, "sign with this private key (PEM)");
  command->add_option("--name", options->name, "the model's name, for people");
  command->add_option("--model-version", options->version, "its version, for people");
  add_threads_option(*command, chosen);
  command->add_flag("--json", options->json, "one JSON object on standard output");
  command->callback([&chosen, options] {
    chosen.run = [options](Env env, Terminal& terminal) {
      return make_artifact(env, terminal, options);
    };
  });
  return command;
}

}  // namespace

void add_compress_commands(CLI::App& tool, Command& chosen) {
  auto import_options = std::make_shared<MakeOptions>();
  add_maker(tool, chosen, "import", "a checkpoint to an artifact, every bit kept", import_options)
      ->add_option("--precision", import_options->precision, "keep (default), f32, bf16 or f16");
  auto compress_options = std::make_shared<MakeOptions>();
  compress_options->preset = "near-lossless";
  CLI::App* compress =
      add_maker(tool, chosen, "compress", "a model to a smaller artifact", compress_options);
  compress->add_option("--preset", compress_options->preset, "near-lossless (8 bits, the default)");
  compress
      ->add_option("--set", compress_options->settings,
                   "technique.key=value, any number of times: quantize.format=q8 (default), q6, "
                   "q5 or q4")
      ->allow_extra_args(false);
  compress->add_option("--report", compress_options->report, "write what it cost as JSON");
  add_delta_commands(tool, chosen);
  auto key_options = std::make_shared<MakeOptions>();
  CLI::App* keys = tool.add_subcommand("keys", "signing keys");
  keys->require_subcommand(1);
  CLI::App* fresh = keys->add_subcommand("new", "make an Ed25519 pair");
  fresh->add_option("-o,--output", key_options->out, "directory for skein.key and skein.pub")
      ->required();
  fresh->callback([&chosen, key_options] {
    chosen.run = [key_options](Env env, Terminal& terminal) {
      return new_keys(env, terminal, key_options);
    };
  });
}

}  // namespace skein
