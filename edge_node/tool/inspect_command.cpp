// skein inspect and skein verify: what a file holds, and whether it is what it says.
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <iomanip>

#include "common/artifact/artifact_file.h"
#include "common/cli/in_file.h"
#include "common/crypto/ed25519.h"
#include "common/env/disk.h"
#include "edge_node/tool/internal/model_command.h"

namespace skein::tool {
namespace {

namespace json = boost::json;

struct Sizes {
  std::uint64_t parameters = 0;
  std::uint64_t weight_bytes = 0;
};

std::uint64_t bytes_of(const TensorEntry& tensor) {
  return stored_bytes(tensor.format, tensor.layout, tensor.rows, tensor.cols);
}

Sizes measure(const Manifest& manifest) {
  Sizes sizes;
  for (const TensorEntry& tensor : manifest.tensors) {
    if (!is_derived(tensor.name)) sizes.parameters += std::uint64_t{tensor.rows} * tensor.cols;
    sizes.weight_bytes += bytes_of(tensor);
  }
  return sizes;
}

double bits_per_weight(const Sizes& sizes) {
  if (sizes.parameters == 0) return 0;
  return 8.0 * static_cast<double>(sizes.weight_bytes) / static_cast<double>(sizes.parameters);
}

// Bytes that the pages of tensors take in the file, coded or not.
std::uint64_t stored_bytes_of(const ModelFile& file) {
  const Manifest& manifest = file.manifest();
  std::vector<bool> counted(manifest.pages.size());
  for (const TensorEntry& tensor : manifest.tensors) {
    for (const Segment& segment : tensor.segments) counted[segment.page] = true;
  }
  std::uint64_t bytes = 0;
  for (std::uint32_t i = 0; i < counted.size(); ++i) {
    if (counted[i]) bytes += file.stored_size(PageIndex(i));
  }
  return bytes;
}

json::object describe(const ModelFile& file) {
  const Manifest& manifest = file.manifest();
  const Sizes sizes = measure(manifest);
  json::array tensors;
  for (const TensorEntry& tensor : manifest.tensors) {
    json::array shape(tensor.shape.begin(), tensor.shape.end());
    tensors.push_back(json::object{{"name", tensor.name},
                                   {"shape", std::move(shape)},
                                   {"format", name_of(tensor.format)},
                                   {"bytes", bytes_of(tensor)}});
  }
  json::array techniques(manifest.techniques.begin(), manifest.techniques.end());
  const ModelConfig& config = manifest.config;
  const Sizes coded = {sizes.parameters, stored_bytes_of(file)};
  return {{"architecture", name_of(config.architecture)},
          {"name", manifest.name},
          {"version", manifest.version},
          {"layers", config.layers},
          {"width", config.width},
          {"heads", config.heads},
          {"head_size", config.head_size},
          {"ffn_width", config.ffn_width},
          {"vocab", config.vocab},
          {"parameters", sizes.parameters},
          {"file_bytes", file.file_bytes()},
          {"resident_bytes", sizes.weight_bytes},
          {"bits_per_weight", bits_per_weight(sizes)},
          {"coded", file.is_coded()},
          {"coded_bytes", coded.weight_bytes},
          {"coded_bits_per_weight", bits_per_weight(coded)},
          {"pages", manifest.pages.size()},
          {"tokenizer", manifest.tokenizer.kind},
          {"grid_id", manifest.grid_id},
          {"tensors", std::move(tensors)},
          {"techniques", std::move(techniques)},
          {"digest", file.digest().hex()}};
}

void print_table(const ModelFile& file, std::ostream& out) {
  const json::object facts = describe(file);
  for (const char* key : {"architecture", "name", "version", "layers", "width", "heads",
                          "ffn_width", "vocab", "parameters", "file_bytes", "resident_bytes",
                          "bits_per_weight", "coded_bits_per_weight", "pages", "digest"}) {
    const json::value& value = facts.at(key);
    out << std::left << std::setw(23) << key;
    if (value.is_string()) {
      out << value.as_string().c_str();
    } else if (value.is_double()) {
      out << std::fixed << std::setprecision(3) << value.as_double();
    } else {
      out << json::serialize(value);
    }
    out << "\n";
  }
  for (const TensorEntry& tensor : file.manifest().tensors) {
    std::string shape;
    for (const std::uint32_t size : tensor.shape)
      shape += (shape.empty() ? "" : "x") + std::to_string(size);
    out << "  " << std::left << std::setw(36) << tensor.name << std::setw(16) << shape
        << std::setw(6) << name_of(tensor.format) << bytes_of(tensor) << "\n";
  }
}

struct InspectOptions : ModelOptions {
  bool plan = false;
};

// The account of a plan, and how tensors are held.
json::object describe(const ModelFile::Planned& planned) {
  const Manifest& manifest = planned.artifact.manifest;
  const ResidencyPlan& plan = planned.plan;
  json::object shares;
  for (const MemoryShare& share : plan.shares) shares[share.what] = share.bytes;
  json::array tensors;
  for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
    json::object tensor{{"name", manifest.tensors[i].name},
                        {"held", name_of(plan.tensors[i].kind)}};
    if (plan.tensors[i].kind == Residence::kStreamed) {
      tensor["pinned_pages"] = plan.tensors[i].pinned_segments;
      tensor["coded_pages"] = plan.tensors[i].coded_segments;
      tensor["pages"] = manifest.tensors[i].segments.size();
    }
    tensors.push_back(std::move(tensor));
  }
  return {{"memory", std::move(shares)},
          {"memory_bytes", plan.total()},
          {"streamed_bytes_per_token", plan.streamed_per_token},
          {"decoded_bytes_per_token", plan.decoded_per_token},
          {"coded_bytes", plan.coded_bytes},
          {"storage_bytes_per_s", planned.measured.rates.storage},
          {"coder_bytes_per_s", planned.measured.rates.coder},
          {"memory_bytes_per_s", planned.measured.rates.memory},
          {"storage_s_per_token", plan.storage_s},
          {"compute_s_per_token", plan.compute_s},
          {"value_bytes", plan.value_bytes},
          {"kept_rows", plan.kept_rows},
          {"rows_a_pass", plan.most_rows},
          {"tensors", std::move(tensors)}};
}

void print_plan(const ModelFile::Planned& planned, std::ostream& out) {
  const Manifest& manifest = planned.artifact.manifest;
  const ResidencyPlan& plan = planned.plan;
  for (const MemoryShare& share : plan.shares) {
    out << std::left << std::setw(44) << share.what << share.bytes << "\n";
  }
  out << std::left << std::setw(44) << "in all" << plan.total() << "\n"
      << std::setw(44) << "read for every token, rows apart" << plan.streamed_per_token << "\n"
      << std::setw(44) << "decoded for every token" << plan.decoded_per_token << "\n"
      << std::setw(44) << "rows kept" << plan.kept_rows << "\n"
      << std::fixed << std::setprecision(0) << std::setw(44) << "storage, a coder, memory: MB/s"
      << planned.measured.rates.storage / 1e6 << ", " << planned.measured.rates.coder / 1e6 << ", "
      << planned.measured.rates.memory / 1e6 << "\n"
      << std::setw(44) << "a token: ms of storage, of computing" << plan.storage_s * 1e3 << ", "
      << plan.compute_s * 1e3 << "\n";
  for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
    const Residence kind = plan.tensors[i].kind;
    if (kind == Residence::kCopied) continue;
    out << "  " << std::left << std::setw(36) << manifest.tensors[i].name << name_of(kind);
    if (kind == Residence::kStreamed) {
      const TensorResidence& tensor = plan.tensors[i];
      out << ", " << tensor.pinned_segments << " of " << manifest.tensors[i].segments.size()
          << " pages pinned";
      if (tensor.coded_segments != 0) out << ", " << tensor.coded_segments << " coded";
    }
    out << "\n";
  }
}

Task<Result<void>> inspect(Env env, Terminal& terminal, std::shared_ptr<InspectOptions> options) {
  ModelArguments arguments = options->model;
  arguments.needs_digest = true;
  if (options->plan) {
    std::optional<ModelFile::Planned> planned;
    auto work = [&]() -> Result<void> {
      TRY(planned, ModelFile::plan_paging(env, arguments));
      return {};
    };
    CO_TRY_VOID(co_await on_compute(env, work));
    if (options->json) {
      print(terminal, describe(*planned));
    } else {
      print_plan(*planned, terminal.out);
    }
    co_return Result<void>{};
  }
  CO_TRY(const auto file, ModelFile::open_pages(env.disk, arguments));
  if (options->json) {
    print(terminal, describe(*file));
  } else {
    print_table(*file, terminal.out);
  }
  co_return Result<void>{};
}

constexpr std::uint64_t kMaxKeyFile = 64 * 1024;

struct VerifyOptions {
  std::string path;
  std::string key;
  bool json = false;
};

Task<Result<void>> verify_artifact(Env env, Terminal& terminal,
                                   std::shared_ptr<VerifyOptions> options) {
  CO_TRY(auto mapped, env.disk.map(options->path));
  CO_TRY(const auto file, ArtifactFile::open(std::move(mapped), options->path));
  CO_TRY_VOID(file->verify_all());
  bool signed_by_key = false;
  if (!options->key.empty()) {
    CO_TRY(const Buffer pem, co_await read_file(env.disk, options->key, kMaxKeyFile));
    auto key = public_key_from_pem(as_text(pem));
    if (!key) co_return in_file(options->key, std::move(key.error()));
    CO_TRY_VOID(file->verify_signature(*key));
    signed_by_key = true;
  }
  const Manifest& manifest = file->manifest();
  if (options->json) {
    print(terminal, {{"pages", manifest.pages.size()},
                     {"signed", file->signed_manifest().is_signed()},
                     {"signature_checked", signed_by_key},
                     {"digest", manifest_digest(encode_manifest(manifest)).hex()}});
  } else {
    terminal.out << manifest.pages.size() << " pages match their hashes; "
                 << (signed_by_key ? "the signature is the key's"
                     : file->signed_manifest().is_signed()
                         ? "signed (pass --key FILE to check by whom)"
                         : "not signed")
                 << "\n";
  }
  co_return Result<void>{};
}

}  // namespace

void add_inspect(CLI::App& tool, Command& chosen) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App* command =
      add_model_command(tool, chosen, "inspect", "what a model file holds", options);
  add_memory_budget(command, chosen, options->model);
  for (const char* name : {"--storage-mbps", "--storage-latency-us"}) {
    command->get_option(name)->needs("--memory-budget");  // without, no weight is read
  }
  command
      ->add_flag("--plan", options->plan,
                 "what stays in memory, streams or is cached under --memory-budget")
      ->needs("--memory-budget");
  command->callback([&chosen, options] {
    chosen.run = [options](Env env, Terminal& terminal) { return inspect(env, terminal, options); };
  });
}

void add_verify(CLI::App& tool, Command& chosen) {
  auto options = std::make_shared<VerifyOptions>();
  CLI::App* command = tool.add_subcommand(
      "verify", "check every page against its hash and the manifest against its signature");
  command->add_option("ARTIFACT", options->path, "a .skein file")->required();
  command->add_option("--key", options->key, "the signer's public key (PEM)");
  command->add_flag("--json", options->json, "one JSON object on standard output");
  command->callback([&chosen, options] {
    chosen.run = [options](Env env, Terminal& terminal) {
      return verify_artifact(env, terminal, options);
    };
  });
}

}  // namespace skein::tool
