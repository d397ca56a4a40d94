// Whether a small sketch of the key rows of a channel mix can prove neurons silent, so that a row
// that is not in memory need not be fetched, and no bit changes. Not part of `all`:
//   cmake --build --preset release --target key_bound_bench && build/release/bin/key_bound_bench
//   MODEL.skein [TEXT|- [WINDOWS [CONTEXT]]]
// Without a text (or with -) tokens are numbers. For each layer, of a row k and an input x:
//   k x = (k U) (U' x) + k~ x~,  U the `kept` directions in which the even windows' inputs are
//   largest, x~ and k~ what is left;  k~ = s + e, s of `bits` bits a weight;
//   k x <= (k U) (U' x) + s x~ + |e| |x~|, by the whole row or summed over groups of 32.
// Counted over the odd windows' inputs: a neuron is excluded where the bound is not above 0.
#include <Eigen/Dense>
#include <Eigen/Eigenvalues>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "common/artifact/artifact_file.h"
#include "common/env/real/real_env.h"
#include "common/model/weights.h"
#include "coordinator/compress/internal/layer_activity.h"
#include "kernels/isa/isa.h"

namespace skein {
namespace {

constexpr Eigen::Index kWide = kGroup;
constexpr double kStoredBits = 4.5;  // of a weight in q4

struct Variant {
  int bits = 1;
  bool by_group = false;  // scales and norms, else by row
  Eigen::Index kept = 0;  // directions

  // A weight: 8-bit scales and norms of groups, 16-bit ones of rows, and kept coordinates.
  double memory(Eigen::Index width) const {
    const auto wide = static_cast<double>(width);
    return bits + (by_group ? 16.0 / kWide : 32 / wide) + 16 * static_cast<double>(kept) / wide;
  }
};

struct Counted {
  double silent = 0, neurons = 0;
  double excluded = 0;        // of the silent ones
  double tiles_excluded = 0;  // of runs of kTileRows neurons, all of them
  double wrong = 0;           // excluded and not silent: rounding of the bound, if ever
  double error = 0;           // |e| of |k|, summed over neurons ...
  double rows = 0;            // ... so many

  void add(const Counted& more) {
    silent += more.silent;
    neurons += more.neurons;
    excluded += more.excluded;
    tiles_excluded += more.tiles_excluded;
    wrong += more.wrong;
    error += more.error;
    rows += more.rows;
  }
};

// The levels that lose least of normal weights of variance 1 (Max 1960), positive half.
std::span<const float> levels_of(int bits) {
  static constexpr float kOne[] = {0.7979F};
  static constexpr float kTwo[] = {0.4528F, 1.5104F};
  static constexpr float kThree[] = {0.2451F, 0.7560F, 1.3439F, 2.1520F};
  if (bits == 1) return kOne;
  if (bits == 2) return kTwo;
  return kThree;
}

float nearest(std::span<const float> levels, float value) {
  float best = levels[0];
  for (const float level : levels) {
    if (std::abs(std::abs(value) - level) < std::abs(std::abs(value) - best)) best = level;
  }
  return std::copysign(best, value);
}

// `w` in levels times one scale, in place, the scale of least squares for its own levels.
void sketch(Eigen::Ref<Eigen::RowVectorXf> w, int bits) {
  const std::span<const float> levels = levels_of(bits);
  float scale = std::sqrt(w.squaredNorm() / static_cast<float>(w.size()));
  if (scale == 0) return;
  Eigen::RowVectorXf level(w.size());
  for (int round = 0; round < 8; ++round) {
    for (Eigen::Index i = 0; i < w.size(); ++i) level[i] = nearest(levels, w[i] / scale);
    scale = w.dot(level) / level.squaredNorm();
  }
  w = scale * level;
}

// (rows, groups) of the lengths of what lies in each group.
RowMatrix lengths(const RowMatrix& of) {
  const Eigen::Index groups = (of.cols() + kWide - 1) / kWide;
  RowMatrix out(of.rows(), groups);
  for (Eigen::Index g = 0; g < groups; ++g) {
    const Eigen::Index wide = std::min(kWide, of.cols() - g * kWide);
    out.col(g) = of.middleCols(g * kWide, wide).rowwise().norm();
  }
  return out;
}

struct Layer {
  RowMatrix key;                  // (neurons, width)
  RowMatrix inputs;               // (tokens, width), as they are multiplied
  RowMatrix products;             // (neurons, tokens): what is true
  Eigen::MatrixXf directions;     // (width, width): largest first
  std::vector<double> energy_of;  // of inputs, in the first 8 and 32 directions
};

Counted count(const Layer& layer, const Variant& variant) {
  const Eigen::MatrixXf u = layer.directions.leftCols(variant.kept);
  const RowMatrix kept_key = layer.key * u;
  const RowMatrix kept_inputs = layer.inputs * u;
  const RowMatrix key = layer.key - kept_key * u.transpose();
  const RowMatrix inputs = layer.inputs - kept_inputs * u.transpose();
  RowMatrix s = key;
  const Eigen::Index step = variant.by_group ? kWide : s.cols();
  for (Eigen::Index row = 0; row < s.rows(); ++row) {
    for (Eigen::Index at = 0; at < s.cols(); at += step) {
      sketch(s.row(row).segment(at, std::min(step, s.cols() - at)), variant.bits);
    }
  }
  RowMatrix e = key - s;
  e -= (e * u) * u.transpose();  // inputs have nothing there
  RowMatrix bound = kept_key * kept_inputs.transpose() + s * inputs.transpose();
  if (variant.by_group) {
    bound += lengths(e) * lengths(inputs).transpose();
  } else {
    bound += e.rowwise().norm() * inputs.rowwise().norm().transpose();
  }
  Counted counted;
  counted.rows = static_cast<double>(e.rows());
  counted.error = (e.rowwise().norm().array() / layer.key.rowwise().norm().array()).sum();
  counted.neurons = static_cast<double>(bound.size());
  for (Eigen::Index token = 0; token < bound.cols(); ++token) {
    for (Eigen::Index first = 0; first < bound.rows(); first += kTileRows) {
      const Eigen::Index rows = std::min<Eigen::Index>(kTileRows, bound.rows() - first);
      Eigen::Index none = 0;
      for (Eigen::Index row = first; row < first + rows; ++row) {
        const bool silent = layer.products(row, token) <= 0;
        const bool excluded = bound(row, token) <= 0;
        counted.silent += silent;
        counted.excluded += silent && excluded;
        counted.wrong += !silent && excluded;
        none += excluded;
      }
      if (none == rows) counted.tiles_excluded += static_cast<double>(rows);
    }
  }
  return counted;
}

// What the kernels multiply: a quantized matrix meets inputs of 8 bits.
RowMatrix as_multiplied(const RowMatrix& inputs, bool quantized) {
  if (!quantized) return inputs;
  const auto width = static_cast<std::size_t>(inputs.cols());
  const std::size_t groups = (width + kGroup - 1) / kGroup;
  std::vector<std::int8_t> codes(groups * kGroup);
  std::vector<float> scales(groups);
  std::vector<std::int32_t> sums(groups);
  RowMatrix out = inputs;
  for (Eigen::Index row = 0; row < inputs.rows(); ++row) {
    quantize_input({inputs.row(row).data(), width}, {codes, scales, sums});
    for (std::size_t i = 0; i < width; ++i) {
      out(row, static_cast<Eigen::Index>(i)) = static_cast<float>(codes[i]) * scales[i / kGroup];
    }
  }
  return out;
}

Layer layer_of(const LayerActivity& activity, const Matrix& key) {
  const RowMatrix all = as_multiplied(activity.input, key.is_quantized());
  const Eigen::Index tokens = all.rows();
  const auto windows = static_cast<Eigen::Index>(activity.windows);
  RowMatrix even(tokens, all.cols());
  Layer layer;
  layer.key = floats_of(key.view());
  layer.inputs.resize(tokens, all.cols());
  Eigen::Index seen = 0, counted = 0;
  for (Eigen::Index row = 0; row < tokens; ++row) {
    const bool is_even = row % windows % 2 == 0;
    (is_even ? even.row(seen++) : layer.inputs.row(counted++)) = all.row(row);
  }
  even.conservativeResize(seen, Eigen::NoChange);
  layer.inputs.conservativeResize(counted, Eigen::NoChange);
  layer.products = layer.key * layer.inputs.transpose();
  const Eigen::MatrixXf gram = even.transpose() * even;
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXf> solved(gram);
  layer.directions = solved.eigenvectors().rowwise().reverse();
  for (const Eigen::Index kept : {8, 32}) {
    const RowMatrix within = layer.inputs * layer.directions.leftCols(kept);
    layer.energy_of.push_back(within.squaredNorm() / layer.inputs.squaredNorm());
  }
  return layer;
}

// How far from a right angle silent rows lie: a sketch whose error is a share of |k| excludes by
// the whole row only those whose cosine is about as far below 0.
void print_angles(std::uint32_t index, const Layer& layer) {
  const Eigen::VectorXf k = layer.key.rowwise().norm();
  const Eigen::VectorXf x = layer.inputs.rowwise().norm();
  std::vector<float> cosines;
  for (Eigen::Index token = 0; token < x.size(); ++token) {
    for (Eigen::Index row = 0; row < k.size(); ++row) {
      const float product = layer.products(row, token);
      if (product <= 0) cosines.push_back(product / std::max(1e-30F, k[row] * x[token]));
    }
  }
  std::ranges::sort(cosines);
  const auto at = [&](double share) {
    return cosines.empty()
               ? 0
               : cosines[static_cast<std::size_t>(share * static_cast<double>(cosines.size() - 1))];
  };
  std::printf(
      "layer %2u: %.3f silent; cosines of silent rows: least %.3f, 1 %% %.3f, 10 %% %.3f, "
      "median %.3f; of inputs' energy in 8 directions %.3f, in 32 %.3f\n",
      index, static_cast<double>(cosines.size()) / static_cast<double>(layer.products.size()),
      static_cast<double>(at(0)), static_cast<double>(at(0.01)), static_cast<double>(at(0.1)),
      static_cast<double>(at(0.5)), layer.energy_of[0], layer.energy_of[1]);
  std::fflush(stdout);
}

struct Arguments {
  std::string model, text;
  std::uint32_t windows = 32, context = 32;
};

Result<CalibrationText> read_text(const Model& model, const Arguments& arguments) {
  CalibrationText text{.context = arguments.context};
  const std::size_t wanted = std::size_t{arguments.windows} * arguments.context;
  if (arguments.text.empty() || arguments.text == "-") {
    for (std::uint32_t i = 0; i < wanted; ++i) {
      text.ids.push_back(static_cast<TokenId>((i * 40503ULL + 17) % model.config().vocab));
    }
    return text;
  }
  std::ifstream file(arguments.text, std::ios::binary);
  const std::string words((std::istreambuf_iterator<char>(file)), {});
  if (model.tokenizer() == nullptr) {
    return fail(Errc::kInput, "the model has no vocabulary", arguments.model, "give - for TEXT");
  }
  TRY(text.ids, model.tokenizer()->encode(words));
  if (text.ids.size() < wanted) {
    return fail(Errc::kInput, "the text has " + std::to_string(text.ids.size()) + " tokens",
                arguments.text, "give one of " + std::to_string(wanted));
  }
  text.ids.resize(wanted);
  return text;
}

void print(const Variant& variant, Eigen::Index width, const Counted& all,
           const std::vector<double>& by_layer) {
  const double memory = variant.memory(width);
  std::printf("%d      %-5s  %4d   %6.2f (%.2f)  %.3f   %.4f    %.4f   %.4f   %.0f  ", variant.bits,
              variant.by_group ? "group" : "row", static_cast<int>(variant.kept), memory,
              memory / kStoredBits, all.error / all.rows, all.excluded / all.silent,
              1 - (all.excluded + all.wrong) / all.neurons, 1 - all.tiles_excluded / all.neurons,
              all.wrong);
  for (const double share : by_layer) std::printf(" %.3f", share);
  std::printf("\n");
  std::fflush(stdout);
}

Result<void> run(Env env, const Arguments& arguments) {
  if (!select_isa("")) return fail(Errc::kUnsupported, "no kernels", "this CPU", "see README");
  TRY(const auto pages, open_artifact(env.disk, arguments.model));
  TRY(const auto model, Model::open(*pages));
  TRY(const CalibrationText text, read_text(*model, arguments));
  std::vector<Variant> variants;
  for (const Eigen::Index kept : {0, 8, 32}) {
    for (const bool by_group : {false, true}) {
      for (const int bits : {1, 2, 3}) variants.push_back({bits, by_group, kept});
    }
  }
  std::vector<Counted> sums(variants.size());
  std::vector<std::vector<double>> by_layer(variants.size());
  ActivityPass pass(*model, env.compute.parallel(), text);
  TRY_VOID(pass.begin());
  for (std::uint32_t i = 0; i < model->config().layers; ++i) {
    const Layer layer = layer_of(pass.run_layer(), model->weights().layers[i].ffn.key);
    print_angles(i, layer);
    for (std::size_t v = 0; v < variants.size(); ++v) {
      const Counted counted = count(layer, variants[v]);
      sums[v].add(counted);
      by_layer[v].push_back(counted.excluded / counted.silent);
    }
  }
  std::printf(
      "bits   by     kept  bits in all   error   excluded  read     tiles    wrong  "
      "excluded by layer\n"
      "              (of q4's %.1f) of |k|  of silent of rows  read\n",
      kStoredBits);
  for (std::size_t v = 0; v < variants.size(); ++v) {
    print(variants[v], static_cast<Eigen::Index>(model->config().width), sums[v], by_layer[v]);
  }
  return {};
}

}  // namespace
}  // namespace skein

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  skein::Arguments arguments{.model = argv[1], .text = argc > 2 ? argv[2] : ""};
  if (argc > 3) arguments.windows = static_cast<std::uint32_t>(std::strtoul(argv[3], nullptr, 10));
  if (argc > 4) arguments.context = static_cast<std::uint32_t>(std::strtoul(argv[4], nullptr, 10));
  skein::RealEnv real({.compute_threads = 1});
  const auto done = skein::run(real.env(), arguments);
  if (!done) std::printf("%s\n", to_string(done.error()).c_str());
  return done ? 0 : skein::exit_code(done.error().code);
}
