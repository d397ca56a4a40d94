// ablations MODEL VOCAB CALIBRATION HELD_OUT [TABLE...]: each paper's own comparison, on one model
// of ours; perplexity as `skein eval` measures it. Without names all tables.
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "common/env/real/internal/thread_pool.h"
#include "common/model/tokenizer.h"
#include "kernels/isa/isa.h"
#include "tests/bench/ablations/ablation.h"

namespace skein::ablations {
namespace {

constexpr Table kTables[] = {{"lorap", lorap},
                             {"activation_sparsity", activation_sparsity},
                             {"channel_scales", channel_scales},
                             {"double_compression", double_compression},
                             {"numerical_pruning", numerical_pruning},
                             {"rwkv_lite", rwkv_lite},
                             {"residual", residual}};

[[noreturn]] void stop(const std::string& sentence) {
  std::fprintf(stderr, "ablations: %s\n", sentence.c_str());
  std::exit(3);
}

Buffer read_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file) stop(std::string("cannot be read: ") + path);
  return to_buffer(std::as_bytes(std::span(text)));
}

std::vector<TokenId> ids_of(const char* path, const Tokenizer& tokenizer) {
  auto ids = tokenizer.encode(as_text(read_file(path)));
  if (!ids) stop(to_string(ids.error()));
  return std::move(*ids);
}

}  // namespace

Pressed Bench::press(const std::vector<std::string>& settings,
                     const std::vector<std::string>& only) const {
  CompressionRequest request;
  request.settings = settings;
  request.settings.emplace_back("calibration.ids=8192");
  request.only = only;
  request.calibration = "calibration";
  auto plan = CompressionPlan::make(request);
  if (!plan) {  // rounding to the nearest alone reads no text
    request.settings.pop_back();
    request.calibration = "";
    plan = CompressionPlan::make(request);
  }
  if (!plan) stop(to_string(plan.error()));
  auto pressed = skein::press({.checkpoint = checkpoint_,
                               .convert = {},
                               .text = text_,
                               .held_out = held_out_,
                               .parallel = parallel_,
                               .perplexity_before = perplexity_before_},
                              *plan);
  if (!pressed) stop(to_string(pressed.error()));
  const MeasuredLoss& loss = *pressed->measured;
  perplexity_before_ = loss.perplexity_before;
  Pressed out{.growth = loss.perplexity_after / loss.perplexity_before - 1,
              .bytes = 0,
              .result = std::move(*pressed)};
  for (const TensorEntry& tensor : out.result.artifact->manifest().tensors) {
    out.bytes += stored_bytes(tensor.format, tensor.layout, tensor.rows, tensor.cols);
  }
  return out;
}

void Bench::print(const Grid& grid) const {
  std::printf("%s; perplexity (bytes)\n| %s |", grid.title, grid.corner);
  for (const Choice& column : grid.columns) std::printf(" %s |", column.name);
  for (const Choice& row : grid.rows) {
    std::printf("\n| %s |", row.name);
    for (const Choice& column : grid.columns) {
      std::vector<std::string> settings = row.settings;
      settings.insert(settings.end(), column.settings.begin(), column.settings.end());
      const Pressed pressed = press(settings, grid.only);
      std::printf(" %+.3f %% (%.2f MB) |", pressed.growth * 100,
                  static_cast<double>(pressed.bytes) / 1e6);
      std::fflush(stdout);
    }
  }
  std::printf("\n");
}

}  // namespace skein::ablations

int main(int argc, char** argv) {
  using namespace skein;
  using namespace skein::ablations;
  if (argc < 5) {
    std::fprintf(stderr, "usage: ablations MODEL VOCAB CALIBRATION HELD_OUT [TABLE...]\n");
    return 2;
  }
  if (const auto isa = select_isa(""); !isa) stop(to_string(isa.error()));
  const Buffer file = read_file(argv[1]);
  const auto checkpoint = read_checkpoint(file, argv[1]);
  if (!checkpoint) stop(to_string(checkpoint.error()));
  const auto tokenizer = Tokenizer::parse(as_text(read_file(argv[2])));
  if (!tokenizer) stop(to_string(tokenizer.error()));
  real::ThreadPool threads(2);
  const Bench bench(*checkpoint, ids_of(argv[3], **tokenizer), ids_of(argv[4], **tokenizer),
                    threads);
  for (const Table& table : kTables) {
    bool wanted = argc == 5;
    for (int i = 5; i < argc; ++i) wanted |= std::strcmp(argv[i], table.name) == 0;
    if (wanted) table.print(bench);
  }
}
