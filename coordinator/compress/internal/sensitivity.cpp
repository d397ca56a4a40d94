#include "coordinator/compress/internal/sensitivity.h"

#include <algorithm>
#include <charconv>

#include "coordinator/compress/internal/matrix_rounding.h"
#include "coordinator/compress/internal/replaced_tensor.h"
#include "kernels/ops/activations.h"
#include "kernels/ops/log.h"

namespace skein {
namespace {

constexpr std::uint64_t kMostLogits = 1ULL << 27;  // of the reference, kept: 512 MiB
constexpr Format kCandidates[] = {Format::kQ4, Format::kQ5, Format::kQ6, Format::kQ8};

// The model as it is: what the others are compared with.
class Reference {
 public:
  Reference(const Model& model, Parallel& parallel, std::uint32_t context)
      : model_(model), parallel_(parallel), context_(context) {}

  Result<void> run(const CalibrationText& text, std::size_t tokens) {
    Runner runner(model_, parallel_);
    TRY(Activation x, embed(runner, text, tokens));
    run_windows(runner, model_.initial_state(), context_, LayerIndex(0), layers(), x);
    logits_.resize(tokens * model_.config().vocab);
    head(runner, x, logits_);
    return {};
  }

  static Result<Activation> embed(Runner& runner, const CalibrationText& text, std::size_t tokens) {
    std::vector<TokenId> ids(tokens);
    for (std::size_t i = 0; i < tokens; ++i) {
      ids[i] = i % text.context == 0 ? kEndOfText : text.ids[i - 1];
    }
    Activation x;
    TRY_VOID(runner.embed(ids, x));
    return x;
  }

  // Nats a token, of another model whose residual stream before `first` is x.
  double divergence(const Model& other, LayerIndex first, Activation x) const {
    Runner runner(other, parallel_);
    run_windows(runner, other.initial_state(), context_, first, layers(), x);
    const std::size_t vocab = model_.config().vocab;
    const std::size_t tokens = logits_.size() / vocab;
    std::vector<float> logits(kMostRows * vocab);
    std::vector<double> parts(tokens);
    for (std::size_t at = 0; at < tokens; at += kMostRows) {
      const std::size_t count = std::min<std::size_t>(kMostRows, tokens - at);
      runner.head(x, static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(count),
                  std::span(logits).first(count * vocab));
      parallel_.for_each(count, [&](std::size_t i) {
        parts[at + i] = divergence_of(std::span(logits_).subspan((at + i) * vocab, vocab),
                                      std::span(logits).subspan(i * vocab, vocab));
      });
    }
    double sum = 0;
    for (const double part : parts) sum += part;
    return sum / static_cast<double>(tokens);
  }

  LayerIndex layers() const { return LayerIndex(model_.config().layers); }

 private:
  static double divergence_of(std::span<const float> p, std::span<const float> q) {
    const double all_p = log_sum_exp(p);
    const double all_q = log_sum_exp(q);
    double sum = 0;
    for (std::size_t i = 0; i < p.size(); ++i) {
      const double log_p = static_cast<double>(p[i]) - all_p;
      const double share = static_cast<double>(exp_of(static_cast<float>(log_p)));
      sum += share * (log_p - (static_cast<double>(q[i]) - all_q));
    }
    return std::max(sum, 0.0);
  }

  void head(Runner& runner, const Activation& x, std::span<float> logits) const {
    const std::size_t vocab = model_.config().vocab;
    const std::size_t tokens = logits.size() / vocab;
    for (std::size_t at = 0; at < tokens; at += kMostRows) {
      const std::size_t count = std::min<std::size_t>(kMostRows, tokens - at);
      runner.head(x, static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(count),
                  logits.subspan(at * vocab, count * vocab));
    }
  }

  const Model& model_;
  Parallel& parallel_;
  std::uint32_t context_;
  std::vector<float> logits_;
};

class Probe {
 public:
  Probe(PageSource& base, Parallel& parallel, const SensitivityOptions& options,
        const Reference& reference)
      : base_(base), parallel_(parallel), options_(options), reference_(reference) {}

  // x: what the model's layers from `first` on read (before the embedding: nothing, `text` is
  // read).
  Result<MatrixChoices> measure(
      const CheckpointTensor& tensor, const InputStatistics* statistics, LayerIndex first,
      const std::function<Result<Activation>(const Model&)>& input) const {
    TRY(const TensorEntry entry, stored_form(tensor));
    TRY(const std::vector<float> values, stored_values(tensor));
    std::vector<float> importance;
    if (options_.importance) importance = options_.importance(entry, values);
    TRY(const MatrixRounding rounding,
        MatrixRounding::prepare(entry, values,
                                {.statistics = options_.feedback ? statistics : nullptr,
                                 .importance = importance,
                                 .damping = options_.damping},
                                parallel_));
    MatrixChoices out{.name = tensor.name, .alpha = 0, .choices = {}};
    for (const Format format : kCandidates) {
      TensorEntry rounded = entry;
      rounded.format = format;
      ReplacedTensor replaced(base_, rounded);
      rounding.encode(format, replaced.bytes());
      const double error = rounding.squared_error(format, replaced.bytes());
      out.choices.push_back({format, bytes_of(rounded), error, 0});
      if (out.choices.size() > 1 || error == 0) continue;
      TRY(const auto model, Model::open(replaced));
      TRY(Activation x, input(*model));
      out.alpha = reference_.divergence(*model, first, std::move(x)) / error;
    }
    if (!is_quantized(entry.format)) out.choices.push_back({entry.format, bytes_of(entry), 0, 0});
    for (FormatChoice& choice : out.choices) choice.loss = out.alpha * choice.error;
    if (options_.progress) options_.progress(tensor.name);
    return out;
  }

 private:
  static std::uint64_t bytes_of(const TensorEntry& entry) {
    const bool bounded = entry.transposed && entry.layout == Layout::kRows;
    const std::uint64_t bounds = bounded && is_quantized(entry.format) ? 2ULL * entry.rows : 0;
    return stored_bytes(entry.format, entry.layout, entry.rows, entry.cols) + bounds;
  }

  PageSource& base_;
  Parallel& parallel_;
  const SensitivityOptions& options_;
  const Reference& reference_;
};

std::string key_of(std::string_view tensor) { return "sensitivity " + std::string(tensor); }

// Kept: alpha, then each choice's format, bytes and error.
Buffer bytes_of(const MatrixChoices& choices) {
  Buffer out;
  append_le(out, choices.alpha);
  for (const FormatChoice& choice : choices.choices) {
    append_le(out, static_cast<std::uint64_t>(choice.format));
    append_le(out, choice.bytes);
    append_le(out, choice.error);
  }
  return out;
}

std::optional<MatrixChoices> finished_choices(const SensitivityOptions& options,
                                              std::string_view tensor) {
  constexpr std::size_t kEach = 24;
  if (options.finished == nullptr) return std::nullopt;
  const auto found = options.finished->find(key_of(tensor));
  if (!found || found->size() % kEach != sizeof(double)) return std::nullopt;
  MatrixChoices out{.name = std::string(tensor), .alpha = load_le<double>(*found, 0)};
  for (std::size_t at = sizeof(double); at < found->size(); at += kEach) {
    FormatChoice choice{.format = static_cast<Format>(load_le<std::uint64_t>(*found, at)),
                        .bytes = load_le<std::uint64_t>(*found, at + 8),
                        .error = load_le<double>(*found, at + 16)};
    choice.loss = out.alpha * choice.error;
    out.choices.push_back(choice);
  }
  return out;
}

std::size_t tokens_of(const CalibrationText& text, std::uint32_t wanted, std::uint32_t vocab) {
  const std::uint64_t fit = kMostLogits / vocab / text.context * text.context;
  return static_cast<std::size_t>(
      std::min({std::uint64_t{wanted}, std::max<std::uint64_t>(fit, text.context),
                std::uint64_t{text.ids.size()}}));
}

}  // namespace

std::optional<std::uint32_t> layer_of(std::string_view tensor) {
  constexpr std::string_view kStart = "blocks.";
  if (!tensor.starts_with(kStart)) return std::nullopt;
  const char* const first = tensor.data() + kStart.size();
  std::uint32_t layer = 0;
  const auto parsed = std::from_chars(first, tensor.data() + tensor.size(), layer);
  if (parsed.ec != std::errc() || parsed.ptr == first) return std::nullopt;
  return layer;
}

Result<std::vector<MatrixChoices>> measure_sensitivity(const Checkpoint& checkpoint,
                                                       PageSource& base, const Model& model,
                                                       Parallel& parallel,
                                                       const CalibrationText& text,
                                                       const SensitivityOptions& options) {
  const std::size_t tokens = tokens_of(text, options.ids, model.config().vocab);
  Reference reference(model, parallel, text.context);
  TRY_VOID(reference.run(text, tokens));
  const Probe probe(base, parallel, options, reference);
  CalibrationPass pass(model, parallel, text);
  TRY_VOID(pass.begin());

  std::vector<MatrixChoices> out;
  // In the base's order of use, which is layer by layer.
  std::optional<Activation> before;
  for (const TensorEntry& entry : base.manifest().tensors) {
    const auto tensor = std::ranges::find(checkpoint.tensors, entry.name, &CheckpointTensor::name);
    if (is_derived(entry.name) || !can_be_quantized(entry.name, entry.shape)) continue;
    CHECK(tensor != checkpoint.tensors.end());
    const auto layer = layer_of(entry.name);
    const InputStatistics* statistics = nullptr;
    LayerIndex first(0);
    if (layer) {
      while (pass.layer() <= *layer) {
        before = pass.first(tokens);
        TRY_VOID(pass.run_layer());
      }
      first = LayerIndex(*layer);
      statistics = pass.statistics().find(entry.name);
    } else if (entry.name == "head.weight") {
      before = pass.first(tokens);
      TRY_VOID(pass.run_head());
      first = reference.layers();
      statistics = pass.statistics().find(entry.name);
    }
    if (auto finished = finished_choices(options, entry.name)) {
      out.push_back(std::move(*finished));
      if (options.progress) options.progress(entry.name);
      continue;
    }
    const bool embeds = !layer && entry.name != "head.weight";
    TRY(MatrixChoices choices,
        probe.measure(*tensor, statistics, first, [&](const Model& other) -> Result<Activation> {
          if (!embeds) return *before;
          Runner runner(other, parallel);
          return Reference::embed(runner, text, tokens);
        }));
    if (options.finished != nullptr) {
      TRY_VOID(options.finished->keep(key_of(entry.name), bytes_of(choices)));
    }
    out.push_back(std::move(choices));
  }
  return out;
}

}  // namespace skein
