// Entropy-constrained quantization, its parts one by one: bits once coded, and the divergence that
// they cost on ids that no calibration saw. Not part of `all`:
//   cmake --build --preset release --target entropy_ablations && \
//   build/release/bin/entropy_ablations REF.pth VOCAB.txt CALIBRATION.txt HELD_OUT.txt
//   SENSITIVITIES [WHICH]
// The file SENSITIVITIES is written where it is not there: measuring them takes minutes.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "common/model/evaluate.h"
#include "common/model/tokenizer.h"
#include "coordinator/compress/internal/calibration_pass.h"
#include "coordinator/compress/internal/coded_size.h"
#include "coordinator/compress/internal/matrix_rounding.h"
#include "coordinator/compress/internal/output_importance.h"
#include "coordinator/compress/internal/sensitivity.h"
#include "coordinator/compress/press.h"
#include "kernels/isa/isa.h"
#include "kernels/ops/log.h"

namespace skein {
namespace {

constexpr std::uint32_t kContext = 512;
constexpr std::size_t kCalibrationIds = 16384;
constexpr std::uint32_t kSensitivityIds = 2048;
constexpr std::size_t kDivergenceIds = 4096;

template <class T>
T must(Result<T> result) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "%s\n", to_string(result.error()).c_str());
  std::exit(1);
}

Buffer bytes_of(const char* path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  return to_buffer(as_bytes(text));
}

struct Variant {
  const char* name;
  double loss_step = 1e-9;  // nats for each squared step: the scale of every matrix's steps
  double exponent = 1;
  double price = 0;
  bool feedback = true;
  bool importance = true;
  Format format = Format::kQ6;
  double damping = 0.01;
  bool allocated = true;  // steps by alpha, or the same relative error for all
  std::string only = {};  // the one matrix that is rounded; "": all
};

struct Matrix {
  TensorEntry entry;
  std::vector<float> values;
  std::vector<float> importance;
  InputStatistics statistics;
  bool seen = false;
  double alpha = 0;  // with importance
};

struct Setting {
  SerialParallel pool;
  Checkpoint checkpoint;
  std::unique_ptr<MemoryArtifact> base;
  std::unique_ptr<Model> model;
  CalibrationText text;
  std::vector<TokenId> held_out;
  std::map<std::string, Matrix, std::less<>> matrices;
  std::uint64_t weights = 0;
  std::vector<float> reference;  // logits
};

std::vector<float> logits_of(const Model& model, Parallel& parallel, std::span<const TokenId> ids) {
  const std::size_t vocab = model.config().vocab;
  std::vector<float> logits(ids.size() * vocab);
  Runner runner(model, parallel);
  Activation x;
  std::vector<TokenId> read(ids.begin(), ids.end());
  for (std::size_t i = ids.size(); i-- > 0;) read[i] = i % kContext == 0 ? 0 : ids[i - 1];
  if (!runner.embed(read, x)) std::exit(1);
  run_windows(runner, model.initial_state(), kContext, LayerIndex(0),
              LayerIndex(model.config().layers), x);
  for (std::size_t at = 0; at < ids.size(); at += kMostRows) {
    const std::size_t some = std::min<std::size_t>(kMostRows, ids.size() - at);
    runner.head(x, static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(some),
                std::span(logits).subspan(at * vocab, some * vocab));
  }
  return logits;
}

double divergence(std::span<const float> p, std::span<const float> q, std::size_t vocab) {
  double sum = 0;
  for (std::size_t at = 0; at < p.size(); at += vocab) {
    const auto a = p.subspan(at, vocab);
    const auto b = q.subspan(at, vocab);
    const double all_a = log_sum_exp(a);
    const double all_b = log_sum_exp(b);
    for (std::size_t i = 0; i < vocab; ++i) {
      const double log_p = static_cast<double>(a[i]) - all_a;
      sum += std::exp(log_p) * (log_p - (static_cast<double>(b[i]) - all_b));
    }
  }
  return sum / (static_cast<double>(p.size()) / static_cast<double>(vocab));
}

void gather(Setting& to, std::span<const TokenId> all, const char* cache) {
  const OutputImportance importance(all, to.model->config().vocab);
  const auto importance_of = [&](const TensorEntry& entry, std::span<const float> values) {
    return importance.of(entry, values);
  };
  std::map<std::string, double> alphas;
  if (std::ifstream in(cache); in) {
    for (std::string name; in >> name;) in >> alphas[name];
  } else {
    const auto found =
        must(measure_sensitivity(to.checkpoint, *to.base, *to.model, to.pool, to.text,
                                 {.ids = kSensitivityIds, .importance = importance_of}));
    std::ofstream out(cache);
    for (const MatrixChoices& choice : found) {
      alphas[choice.name] = choice.alpha;
      out << choice.name << " " << choice.alpha << "\n";
    }
  }
  CalibrationPass pass(*to.model, to.pool, to.text);
  if (!pass.begin()) std::exit(1);
  for (const TensorEntry& entry : to.base->manifest().tensors) {
    to.weights += std::uint64_t{entry.rows} * entry.cols;
    if (!can_be_quantized(entry.name, entry.shape)) {
      continue;
    }
    Matrix& matrix = to.matrices[entry.name];
    const auto tensor =
        std::ranges::find(to.checkpoint.tensors, entry.name, &CheckpointTensor::name);
    matrix.entry = entry;
    matrix.values = must(stored_values(*tensor));
    matrix.importance = importance.of(entry, matrix.values);
    matrix.alpha = alphas.contains(entry.name) ? alphas[entry.name] : -1;
    if (const auto layer = layer_of(entry.name)) {
      while (pass.layer() <= *layer) {
        if (!pass.run_layer()) std::exit(1);
      }
    } else if (entry.name == "head.weight") {
      if (!pass.run_head()) std::exit(1);
    }
    const InputStatistics* const seen = pass.statistics().find(entry.name);
    matrix.seen = seen != nullptr && entry.name != "emb.weight";
    if (matrix.seen) matrix.statistics = *seen;
  }
}

void measure_missing(Setting& setting);

class VariantEncoder final : public MatrixEncoder {
 public:
  VariantEncoder(Setting& setting, const Variant& variant) : setting_(setting), variant_(variant) {}

  Format format_of(std::string_view name) override {
    const Matrix& matrix = setting_.matrices.find(name)->second;
    if (!variant_.only.empty() && variant_.only != name) return matrix.entry.format;
    return matrix.entry.cols % kGroup == 0 ? variant_.format : Format::kQ8;
  }
  Result<void> encode(const TensorEntry& tensor, std::span<const float> values,
                      MutableByteView out) override {
    const Matrix& matrix = setting_.matrices.find(tensor.name)->second;
    const std::span<const float> importance =
        variant_.importance ? std::span<const float>(matrix.importance) : std::span<const float>();
    TRY(const MatrixRounding rounding,
        MatrixRounding::prepare(tensor, values,
                                {.statistics = matrix.seen ? &matrix.statistics : nullptr,
                                 .importance = importance,
                                 .feedback = variant_.feedback,
                                 .damping = variant_.damping},
                                setting_.pool));
    if (!rounding.takes_steps()) {
      rounding.encode(tensor.format, out);
      return {};
    }
    UniformRule rule{.exponent = variant_.exponent, .price = variant_.price};
    const double alpha = std::max(matrix.alpha, 1e-7);
    rule.scale = variant_.allocated ? variant_.loss_step / alpha
                                    : variant_.loss_step / static_cast<double>(values.size());
    rounding.encode_uniform(tensor.format, rule, out);
    last_error = rounding.squared_error(tensor.format, out);
    predicted += alpha * last_error;
    if (verbose) {
      const auto count = static_cast<double>(values.size());
      std::printf("  %-36s alpha %9.6f coded %6.3f error %.6f loss %.7f\n", tensor.name.c_str(),
                  alpha, 8.0 * static_cast<double>(coded_bytes(tensor, out)) / count, last_error,
                  alpha * last_error);
    }
    return {};
  }

  bool verbose = false;
  double last_error = 0;
  double predicted = 0;

 private:
  Setting& setting_;
  const Variant& variant_;
};

struct Outcome {
  double bits = 0, resident = 0, kl = 0, predicted = 0, growth = 0, last_error = 0;
};

Outcome run(Setting& setting, const Variant& variant, bool whole, bool verbose = false) {
  VariantEncoder encoder(setting, variant);
  encoder.verbose = verbose;
  ConvertOptions options{.encoder = &encoder, .hash_pages = false};
  const auto artifact = must(convert(setting.checkpoint, options));
  const auto model = must(Model::open(*artifact));
  const double per = 8.0 / static_cast<double>(setting.weights);
  Outcome out;
  out.bits = per * static_cast<double>(must(coded_bytes(*artifact)));
  for (const TensorEntry& entry : artifact->manifest().tensors) {
    out.resident +=
        per * static_cast<double>(stored_bytes(entry.format, entry.layout, entry.rows, entry.cols));
  }
  out.last_error = encoder.last_error;
  out.predicted = encoder.predicted;
  const auto ids = std::span(setting.held_out).first(kDivergenceIds);
  out.kl =
      divergence(setting.reference, logits_of(*model, setting.pool, ids), model->config().vocab);
  if (whole) {
    static const double before =
        must(evaluate(*setting.model, setting.pool, setting.held_out, kContext)).nll;
    const double after = must(evaluate(*model, setting.pool, setting.held_out, kContext)).nll;
    out.growth = std::expm1((after - before) / static_cast<double>(setting.held_out.size()));
  }
  return out;
}

void measure_missing(Setting& setting) {
  for (auto& [name, matrix] : setting.matrices) {
    if (matrix.alpha >= 0) continue;
    matrix.alpha = 1e-3;
    const double error = name == "head.weight" ? 1e-4 : 1e-3;
    const double step = 1e-3 * error * 12 / static_cast<double>(matrix.values.size());
    const Outcome alone = run(setting, {.name = "", .loss_step = step, .only = name}, false);
    matrix.alpha = alone.kl / alone.last_error;
    std::printf("%s %.6g (error %.6f)\n", name.c_str(), matrix.alpha, alone.last_error);
  }
}

void print(const Variant& variant, const Outcome& outcome) {
  std::printf(
      "%-32s step %.3e | coded %.4f resident %.3f | KL %.6f (predicted %.6f) ppl %+.4f %%\n",
      variant.name, variant.loss_step, outcome.bits, outcome.resident, outcome.kl,
      outcome.predicted, outcome.growth * 100);
  std::fflush(stdout);
}

// Finds the step that gives so many bits.
Outcome at_bits(Setting& setting, Variant& variant, double bits, bool whole) {
  Outcome outcome = run(setting, variant, false);
  for (int i = 0; i < 4 && std::fabs(outcome.bits - bits) > 0.01; ++i) {
    variant.loss_step *= std::exp2(2.1 * (outcome.bits - bits));
    outcome = run(setting, variant, false);
  }
  if (whole) outcome = run(setting, variant, true);
  print(variant, outcome);
  return outcome;
}

}  // namespace
}  // namespace skein

int main(int argc, char** argv) {
  using namespace skein;
  if (argc < 6) return 1;
  if (!select_isa("")) return 1;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  Setting setting;
  const Buffer file = bytes_of(argv[1]);
  setting.checkpoint = must(read_checkpoint(file, argv[1]));
  const Buffer vocabulary = bytes_of(argv[2]);
  setting.base = must(convert(setting.checkpoint, {.hash_pages = false}));
  setting.model = must(Model::open(*setting.base));
  const auto tokenizer = must(Tokenizer::parse(as_text(vocabulary)));
  const auto all = must(tokenizer->encode(as_text(bytes_of(argv[3]))));
  setting.held_out = must(tokenizer->encode(as_text(bytes_of(argv[4]))));
  setting.text.context = kContext;
  const std::size_t windows = kCalibrationIds / kContext;
  for (std::size_t i = 0; i < windows; ++i) {
    const std::size_t first = (all.size() - kContext) / windows * i;
    setting.text.ids.insert(setting.text.ids.end(), all.begin() + static_cast<long>(first),
                            all.begin() + static_cast<long>(first + kContext));
  }
  gather(setting, all, argv[5]);
  setting.reference =
      logits_of(*setting.model, setting.pool, std::span(setting.held_out).first(kDivergenceIds));
  measure_missing(setting);
  for (int i = 6; i < argc; ++i) {
    // bits,step,exponent,price,feedback,importance,format,allocated,whole,damping
    double bits = 3.2, step = 1e-9, exponent = 1, price = 0, damping = 0.01;
    int feedback = 1, importance = 1, format = 6, allocated = 1, whole = 0;
    std::sscanf(argv[i], "%lf,%lf,%lf,%lf,%d,%d,%d,%d,%d,%lf", &bits, &step, &exponent, &price,
                &feedback, &importance, &format, &allocated, &whole, &damping);
    Variant variant{argv[i],
                    step,
                    exponent,
                    price,
                    feedback != 0,
                    importance != 0,
                    format == 4   ? Format::kQ4
                    : format == 5 ? Format::kQ5
                    : format == 6 ? Format::kQ6
                                  : Format::kQ8,
                    damping,
                    allocated != 0};
    if (bits > 0) {
      at_bits(setting, variant, bits, whole != 0);
    } else {
      print(variant, run(setting, variant, whole != 0, true));
    }
  }
}
