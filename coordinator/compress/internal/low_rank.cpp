#include "coordinator/compress/internal/low_rank.h"

#include <algorithm>
#include <cmath>

#include "common/convert/convert.h"
#include "coordinator/compress/internal/changed_tensor.h"

namespace skein {
namespace {

struct Letter {
  char letter;
  std::string_view part;  // below "blocks.N."
};
constexpr Letter kLetters[] = {{'r', "att.receptance.weight"},
                               {'k', "att.key.weight"},
                               {'v', "att.value.weight"},
                               {'g', "att.gate.weight"},
                               {'o', "att.output.weight"}};

constexpr double kOutputShare = 3;  // LoRAP: v and o get three times the rank of r and k

CheckpointTensor factor(std::string_view name, std::string_view suffix,
                        std::vector<std::uint32_t> shape, Format format,
                        std::span<const float> values) {
  return made_tensor({.name = std::string(name) + std::string(suffix),
                      .shape = std::move(shape),
                      .format = format},
                     values);
}

// In the place of X.
void put_factors(Checkpoint& checkpoint, const DenseMatrix& w, const CheckpointTensor& tensor,
                 const Factorization& factors) {
  const std::string name = tensor.name;
  const Format format = element_format(tensor);
  std::erase_if(checkpoint.tensors, [&](const CheckpointTensor& any) { return any.name == name; });
  put_tensor(checkpoint,
             factor(name, kRightFactor, {factors.rank, w.inputs}, format, factors.right));
  put_tensor(checkpoint,
             factor(name, kLeftFactor, {w.outputs, factors.rank}, format, factors.left));
}

}  // namespace

// RWKV-Lite divides the width; LoRAP gives v and o more of what is left than r and k.
std::uint32_t LowRankPlan::rank_of(char target, std::uint32_t width) const {
  if (compensate) return std::min(*compensate, width);
  if (!ratio) return std::max(width / factor, 1U);
  const double half = static_cast<double>(width) / 2;
  const double mean = (1 - *ratio) * half;
  const double more = mean * 2 * kOutputShare / (1 + kOutputShare);
  const bool much = target == 'v' || target == 'o';
  if (more >= half) return much ? 0 : static_cast<std::uint32_t>(std::max(2 * mean - half, 1.0));
  return static_cast<std::uint32_t>(std::max(much ? more : mean * 2 / (1 + kOutputShare), 1.0));
}

std::string matrix_name(std::uint32_t layer, char target) {
  const auto found = std::ranges::find(kLetters, target, &Letter::letter);
  CHECK(found != std::end(kLetters));
  return "blocks." + std::to_string(layer) + "." + std::string(found->part);
}

char target_of(std::string_view tensor) {
  for (const Letter& known : kLetters) {
    if (tensor.ends_with(known.part)) return known.letter;
  }
  return 0;
}

Result<std::string> targets_of(const LowRankPlan& plan, const Checkpoint& checkpoint) {
  std::string letters = plan.targets;
  if (letters.empty()) {
    letters = plan.ratio || plan.compensate ? "rkvo" : "rkv";
    if (find_tensor(checkpoint, matrix_name(0, 'g')) != nullptr) letters += 'g';
  }
  for (const char letter : letters) {
    const std::string name = matrix_name(0, letter);
    if (find_tensor(checkpoint, name + std::string(kRightFactor)) != nullptr) {
      return fail(Errc::kUsage, "the model holds this matrix as factors already", name,
                  "leave it out of lowrank.targets, or take the model it was made from");
    }
    if (find_tensor(checkpoint, name) == nullptr) {
      return fail(Errc::kUsage, "the model has no such matrix", name,
                  "leave " + std::string(1, letter) + " out of lowrank.targets");
    }
  }
  return letters;
}

Result<LowRanked> factorize_model(const Checkpoint& checkpoint, const Model& model,
                                  Parallel& parallel, const CalibrationText& text,
                                  const LowRankPlan& plan,
                                  const std::function<void(double, std::string_view)>& progress) {
  TRY(const std::string targets, targets_of(plan, checkpoint));
  LowRanked out{.checkpoint = checkpoint, .output_errors = {}};
  CalibrationPass pass(model, parallel, text);
  TRY_VOID(pass.begin());
  const std::uint32_t width = model.config().width;
  while (pass.layer() < pass.layers()) {
    const std::uint32_t layer = pass.layer();
    TRY_VOID(pass.run_layer());
    std::vector<std::vector<float>> values(targets.size());
    std::vector<Factorization> factors(targets.size());
    std::vector<double> errors(targets.size());
    for (std::size_t i = 0; i < targets.size(); ++i) {
      const CheckpointTensor* tensor = find_tensor(checkpoint, matrix_name(layer, targets[i]));
      if (tensor == nullptr) continue;  // a first layer may lack what others have
      TRY(values[i], stored_values(*tensor));
    }
    // A matrix a task: each is one thread's from beginning to end.
    parallel.for_each(targets.size(), [&](std::size_t i) {
      const std::uint32_t rank = plan.rank_of(targets[i], width);
      if (rank == 0 || values[i].empty()) return;
      const InputStatistics* seen = pass.statistics().find(matrix_name(layer, targets[i]));
      const DenseMatrix w{width, width, values[i]};
      factors[i] = factorize(w, plan.method, seen, rank);
      errors[i] = std::sqrt(output_error(w, product_of(factors[i]), *seen));
    });
    for (std::size_t i = 0; i < targets.size(); ++i) {
      const std::string name = matrix_name(layer, targets[i]);
      if (factors[i].rank == 0) continue;
      put_factors(out.checkpoint, {width, width, values[i]}, *find_tensor(checkpoint, name),
                  factors[i]);
      out.output_errors[name] = errors[i];
    }
    progress(pass.layer() / static_cast<double>(pass.layers()), "factors");
  }
  return out;
}

std::vector<CheckpointTensor> factors_of(const MissedPart& part, const LowRankPlan& plan) {
  const DenseMatrix& missed = part.missed;
  const std::uint32_t rank = plan.rank_of(target_of(part.name), missed.outputs);
  const Factorization factors = factorize(missed, plan.method, part.statistics, rank);
  std::vector<CheckpointTensor> out;
  out.push_back(
      factor(part.name, kRightFactor, {rank, missed.inputs}, Format::kBf16, factors.right));
  out.push_back(
      factor(part.name, kLeftFactor, {missed.outputs, rank}, Format::kBf16, factors.left));
  return out;
}

}  // namespace skein
