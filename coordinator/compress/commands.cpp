#include "coordinator/compress/commands.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <ostream>

#include "common/artifact/artifact_file.h"
#include "common/cli/in_file.h"
#include "common/crypto/ed25519.h"
#include "common/crypto/sha256.h"
#include "common/env/disk.h"
#include "common/model/tokenizer.h"
#include "coordinator/compress/internal/delta_commands.h"
#include "coordinator/compress/internal/press_report.h"
#include "coordinator/compress/internal/progress_line.h"
#include "coordinator/compress/internal/recode.h"
#include "coordinator/compress/internal/report_page.h"
#include "coordinator/compress/internal/resumable_press.h"
#include "coordinator/compress/internal/settings.h"
#include "coordinator/compress/press.h"

namespace skein {
namespace {

namespace json = boost::json;

struct MakeOptions {
  std::string in, out, vocabulary, key, name, version, report;
  std::string precision = "keep";
  std::optional<CompressionRequest> compression;  // compress; import has none
  bool plan_only = false;
  bool json = false;
};

// What a MODEL argument holds, as a checkpoint: the mapped file or the unpacked artifact.
struct Source {
  std::unique_ptr<MappedFile> file;
  std::unique_ptr<PageSource> artifact;
  std::vector<Buffer> storage;
  Buffer vocabulary;
  Checkpoint checkpoint;
  Digest digest;  // of the file, or the artifact's
};

constexpr std::uint64_t kMaxVocabularyFile = 64U << 20;
constexpr std::uint64_t kMaxKeyFile = 64 * 1024;
constexpr std::uint64_t kMaxTextFile = 1U << 30;

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
    source.digest = manifest_digest(encode_manifest(source.artifact->manifest()));
    CO_TRY(source.checkpoint, tensors_of(*source.artifact, source.storage));
    CO_TRY(source.vocabulary, vocabulary_of(*source.artifact));
  } else {
    CO_TRY(source.checkpoint, read_checkpoint(source.file->bytes(), options.in));
    if (options.compression) source.digest = sha256(source.file->bytes());
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

Result<Precision> precision_of(const std::string& name) {
  if (name == "keep") return Precision::kKeep;
  if (name == "f32") return Precision::kF32;
  if (name == "bf16") return Precision::kBf16;
  if (name == "f16") return Precision::kF16;
  return fail(Errc::kUsage, "'" + name + "' is not a precision", "--precision",
              "use keep, f32, bf16 or f16");
}

// A text file as the model's ids; none where no file is named.
Task<Result<std::vector<TokenId>>> read_ids(Env env, std::string path, const Source& source) {
  if (path.empty()) co_return std::vector<TokenId>{};
  if (source.vocabulary.empty()) {
    co_return fail(Errc::kUsage, "the model carries no vocabulary to read a text with", path,
                   "name it with --vocab");
  }
  CO_TRY(const Buffer text, co_await read_file(env.disk, path, kMaxTextFile));
  CO_TRY(const auto tokenizer, Tokenizer::parse(as_text(source.vocabulary)));
  auto ids = tokenizer->encode(as_text(text));
  if (!ids) co_return in_file(path, std::move(ids.error()));
  co_return std::move(*ids);
}

// The plan that was asked for; none for an import.
Result<std::optional<CompressionPlan>> plan_of(const MakeOptions& options) {
  if (!options.compression) return std::optional<CompressionPlan>{};
  TRY(CompressionPlan plan, CompressionPlan::make(*options.compression));
  return std::optional(std::move(plan));
}

void print_plan(const CompressionPlan& plan, const MakeOptions& options, Terminal& terminal) {
  json::array steps;
  for (const std::string& step : plan.steps()) {
    if (options.json) {
      steps.emplace_back(step);
    } else {
      terminal.out << step << "\n";
    }
  }
  if (options.json) terminal.out << json::object{{"steps", std::move(steps)}} << "\n";
}

// What somebody asked for is named by its own place, what the model holds by the model's file.
Error placed(Error error, const std::string& file) {
  if (error.code == Errc::kUsage || error.code == Errc::kOutOfRoom) return error;
  return in_file(file, std::move(error)).value();
}

struct Pressed {
  PressResult result;
  std::unique_ptr<PressJournal> journal;  // of work that takes long
};

Task<Result<Pressed>> press_source(Env env, Terminal& terminal, const Source& source,
                                   const MakeOptions& options,
                                   const std::optional<CompressionPlan>& plan) {
  ConvertOptions convert_options;
  convert_options.name = options.name;
  convert_options.version = options.version;
  if (source.artifact && options.name.empty())
    convert_options.name = source.artifact->manifest().name;
  convert_options.vocabulary = source.vocabulary;
  CO_TRY(convert_options.precision, precision_of(options.precision));
  std::vector<TokenId> text;
  std::vector<TokenId> held_out;
  if (plan) {
    CO_TRY(text, co_await read_ids(env, plan->calibration, source));
    CO_TRY(held_out, co_await read_ids(env, plan->held_out, source));
  }
  ProgressLine line(env, terminal);
  const PressInput input{
      .checkpoint = source.checkpoint,
      .convert = convert_options,
      .text = text,
      .held_out = held_out,
      .parallel = env.compute.parallel(),
      .pages = source.artifact.get(),
      .progress = [&](double share, std::string_view what) { line.show(share, what); }};
  if (plan && plan->calibrates()) {
    const Digest run = run_digest(*options.compression, input, source.digest);
    auto resumed = co_await press_resumably(env, input, *plan, options.out + ".unfinished", run);
    if (!resumed) co_return tl::unexpected(placed(std::move(resumed.error()), options.in));
    if (resumed->taken_up != 0) {
      terminal.err << "went on from " << resumed->taken_up
                   << " pieces of work that an interrupted run had finished\n";
    }
    co_return Pressed{std::move(resumed->result), std::move(resumed->journal)};
  }
  Result<PressResult> pressed = fail(Errc::kCancelled, "not run");
  std::function<void()> job = [&] {
    pressed = plan ? press(input, *plan) : press(source.checkpoint, convert_options);
  };
  co_await env.compute.run(std::move(job), Duration::zero());
  if (!pressed) co_return tl::unexpected(placed(std::move(pressed.error()), options.in));
  co_return Pressed{std::move(*pressed), nullptr};
}

Task<Result<void>> write_json(Disk& disk, std::string path, const json::object& report) {
  const std::string text = json::serialize(report) + "\n";
  co_return co_await replace_file(disk, path, as_bytes(text));
}

Task<Result<void>> recode_artifact(Env env, Terminal& terminal, const MakeOptions& options,
                                   Recoding what) {
  CO_TRY(const Recoded made, co_await recode(env.disk, std::move(what)));
  const json::object report{{"digest", made.digest.hex()},
                            {"pages", made.pages},
                            {"bytes_before", made.bytes_before},
                            {"bytes", made.bytes_after}};
  if (!options.report.empty()) {
    CO_TRY_VOID(co_await write_json(env.disk, options.report, report));
  }
  if (options.json) {
    terminal.out << report << "\n";
  } else {
    terminal.out << options.out << ": " << made.bytes_after << " bytes (from " << made.bytes_before
                 << "), " << made.pages << " pages, " << made.digest.short_hex() << "\n";
  }
  co_return Result<void>{};
}

// The artifact's file.
Task<Result<Written>> write_made(Env env, const MakeOptions& options, PressResult& pressed,
                                 std::optional<SigningKey> key, PageCoding coding) {
  Written written;
  CO_TRY(written.digest,
         co_await write_artifact(env.disk, options.out, *pressed.artifact, key, coding));
  CO_TRY(const auto file, env.disk.map(options.out));
  written.file_bytes = file->bytes().size();
  if (coding != PageCoding::kPlain) {
    pressed.techniques.push_back(coding_report(pressed, written.file_bytes));
  }
  co_return written;
}

// What it cost, as JSON and beside it as a page.
Task<Result<void>> write_reports(Disk& disk, const MakeOptions& options, const PressResult& pressed,
                                 const Written& written) {
  if (options.report.empty()) co_return Result<void>{};
  const json::object report = describe(pressed, written);
  CO_TRY_VOID(co_await write_json(disk, options.report, report));
  const std::string path = page_path(options.report);
  const std::string page = report_page(pressed, written);
  co_return co_await replace_file(disk, path, as_bytes(page));
}

Task<Result<void>> make_artifact(Env env, Terminal& terminal,
                                 std::shared_ptr<MakeOptions> options) {
  const Instant began = env.clock.now();
  CO_TRY(const std::optional<CompressionPlan> plan, plan_of(*options));
  if (plan && options->plan_only) {
    print_plan(*plan, *options, terminal);
    co_return Result<void>{};
  }
  CO_TRY(const std::optional<SigningKey> key, co_await read_key(env, options->key));
  const PageCoding coding = plan ? plan->pages : PageCoding::kPlain;
  if (plan && plan->only_pages) {
    if (!options->name.empty() || !options->version.empty()) {
      co_return fail(Errc::kUsage, "the same artifact keeps its name and version", "--only entropy",
                     "leave out --name and --model-version");
    }
    Recoding what{.in = options->in, .out = options->out, .coding = coding, .key = key};
    co_return co_await recode_artifact(env, terminal, *options, std::move(what));
  }
  CO_TRY(const Source source, co_await open_source(env, *options));
  CO_TRY(Pressed made, co_await press_source(env, terminal, source, *options, plan));
  PressResult& pressed = made.result;
  CO_TRY(Written written, co_await write_made(env, *options, pressed, key, coding));
  if (made.journal) CO_TRY_VOID(co_await made.journal->remove());
  written.seconds = std::chrono::duration<double>(env.clock.now() - began).count();
  CO_TRY_VOID(co_await write_reports(env.disk, *options, pressed, written));
  const json::object report = describe(pressed, written);
  if (options->json) {
    terminal.out << report << "\n";
  } else {
    terminal.out << options->out << ": " << report.at("bytes") << " bytes of weights (from "
                 << report.at("bytes_before") << "), " << report.at("pages") << " pages, "
                 << written.digest.short_hex() << "\n"
                 << summary_of(pressed);
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

constexpr const char* kTechniquesHelp =
    R"(Techniques, in the order in which they are applied, and their settings:
  sparsity      neurons in a new order; on the finished model which are silent, which will fire
                sparsity.order=hot or off; sparsity.cett=0 to 0.5 (thresholds of neurons)
                sparsity.predictor=off, or previous, sign, sketch, key, mlp joined by +
  embedding     ln0 folded into the embedding's rows, which stay on disk
                embedding.format=q8, q6, q5, q4, bf16, f16 or f32
  prune         neurons of the channel mix removed for good
                prune.ratio=0.05; prune.score=newton, lorap or frequency
                prune.compensate=on or off; prune.guard=0.1; prune.least=0.01 (lorap)
  lowrank       matrices of time mixing told by two thin ones
                lowrank.method=whitened, awsvd or svd; lowrank.targets=r,k,v,g,o
                lowrank.factor=4 (rank = width / factor) or lowrank.ratio=SHARE that goes
                lowrank.compensate=RANK: factors of what rounding missed
  quantize      quantize.format=q8, q6, q5 or q4; quantize.method=nearest or gptq
                quantize.damping=0.01; sensitivity.ids=4096 (of a budget)
                quantize.scales=0.5: input channels by their rms to that power
  head          what spares reading all of the head, on the finished model
                head.method=screen: a sketch of its rows, then exact logits of those that can
                be largest; greedy and top-k choices keep every bit, other sampling reads all
                (head.rank=width / 2; head.format=q4)
                head.method=clusters: hierarchical (RWKV-Lite), another distribution
                (head.mass=0.95; head.least=3; head.most=100; head.epochs=20)
                head.clusters=200, in whose order the rows stand
  entropy       pages of the file coded, every bit kept; alone: those of an artifact
                entropy.pages=coded or plain; coded-but-rows leaves the value matrices, the
                embedding and a head with a screen as they are, of which rows are read under a
                memory budget
                entropy.bits=3.2: steps for so many bits a weight once coded
                entropy.lambda=0; entropy.exponent=1
  calibration.ids=16384   how much text is learned from
--plan prints what would be done.)";

void add_compress(CLI::App& tool, Command& chosen) {
  auto options = std::make_shared<MakeOptions>();
  CompressionRequest& request = options->compression.emplace();
  CLI::App* command = add_maker(tool, chosen, "compress", "a model to a smaller artifact", options);
  command->add_option("--preset", request.preset,
                      "near-lossless (perplexity +0.05 %, at most 6.6 bits), balanced (+0.4 %, "
                      "4.6 bits in memory, 3.6 on disk where that will do) or small (+3 %, pruned, "
                      "and a budget of memory to generate in); none: every matrix q8, to the "
                      "nearest");
  command->add_option("--bits-per-weight", request.bits_per_weight,
                      "the least loss in so many bits; all tensors count");
  add_size_option(*command, "--memory-budget", request.memory_budget,
                  "the least loss in so many bytes (900M, 1.5G); the embedding stays on disk");
  command->add_option("--calibration", request.calibration,
                      "a text like those the model will meet; none: one sampled from the model");
  command->add_option("--held-out", request.held_out,
                      "measure the loss on this text; none: on what calibration did not see");
  command
      ->add_option("--set", request.settings,
                   "technique.key=value, any number of times; the settings are below")
      ->allow_extra_args(false);
  command
      ->add_option("--only", request.only,
                   "only these techniques, joined by commas: embedding, prune, lowrank, quantize, "
                   "sparsity, head, entropy; none: quantize, and those of which something is set")
      ->delimiter(',');
  command->add_flag("--plan", options->plan_only, "print what would be done, and do nothing");
  command->add_option("--report", options->report,
                      "write what it cost as JSON, and as a page beside it (FILE.html)");
  command->footer(kTechniquesHelp);
}

}  // namespace

void add_compress_commands(CLI::App& tool, Command& chosen) {
  auto import_options = std::make_shared<MakeOptions>();
  add_maker(tool, chosen, "import", "a checkpoint to an artifact, every bit kept", import_options)
      ->add_option("--precision", import_options->precision, "keep (default), f32, bf16 or f16");
  add_compress(tool, chosen);
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
