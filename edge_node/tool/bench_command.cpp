// skein bench: how fast a model runs here, beside how fast this machine reads memory.
#include <algorithm>
#include <iomanip>
#include <map>

#include "common/artifact/artifact_file.h"
#include "common/crypto/sha256.h"
#include "edge_node/tool/internal/bandwidth.h"
#include "edge_node/tool/internal/model_command.h"
#include "edge_node/tool/internal/process_memory.h"
#include "edge_node/tool/internal/synthetic_model.h"
#include "kernels/isa/isa.h"

namespace skein::tool {
namespace {

struct BenchOptions : ModelOptions {
  std::string synthetic;
  std::string format = "q8";
  std::string write;  // the synthetic model's file
  double silent = 0.87;
  bool greedy = false;  // only the largest logit is asked for
  bool mapped = false;  // nothing is measured that takes memory of its own
  std::uint32_t decode = 64, prefill = 512, repeats = 5, sessions = 0;
};

constexpr std::uint32_t kMostTokens = 1U << 16;
constexpr int kSweeps = 3;

// What the weights are, and what a token must read of them.
struct WeightBytes {
  std::uint64_t dense = 0;   // all matrices but the embedding, of which one row is read
  std::uint64_t values = 0;  // of these, the neurons' rows of the channel mixes
};

WeightBytes weigh(const Manifest& manifest) {
  WeightBytes weights;
  for (const TensorEntry& tensor : manifest.tensors) {
    const bool looked_up = tensor.name == "emb.weight";
    const std::uint64_t rows = looked_up ? 1 : tensor.rows;
    weights.dense += stored_bytes(tensor.format, tensor.layout, rows, tensor.cols);
    if (tensor.name.ends_with("ffn.value.weight")) {
      weights.values += stored_bytes(tensor.format, tensor.layout, tensor.rows, tensor.cols);
    }
  }
  return weights;
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// The model, its pages and everything measured so far.
class Bench {
 public:
  Bench(Env env, std::shared_ptr<BenchOptions> options) : env_(env), options_(std::move(options)) {}

  Task<Result<void>> open();
  Task<Result<void>> measure(Terminal& terminal);
  boost::json::object report() const;

 private:
  Task<Result<double>> seconds_of(std::function<Result<void>()> work);
  Result<void> run_sessions(std::uint32_t tokens);
  TokenId token(std::size_t index) const {
    return static_cast<TokenId>((index * 40503 + 17) % model().config().vocab);
  }
  PagerCounters paged() const {
    return file_ && file_->pager() != nullptr ? file_->pager()->counters() : PagerCounters{};
  }
  void count_paging(const PagerCounters& before, double seconds);
  const Model& model() const { return file_ ? file_->model() : *synthetic_; }
  const Manifest& manifest() const { return file_ ? file_->manifest() : pages_->manifest(); }

  Env env_;
  std::shared_ptr<BenchOptions> options_;
  std::unique_ptr<ModelFile> file_;
  std::unique_ptr<PageSource> pages_;
  std::unique_ptr<Model> synthetic_;
  std::unique_ptr<Runner> runner_;
  std::vector<RwkvState> states_;
  std::vector<float> logits_;
  std::uint32_t most_ = 0;  // as Feed has it
  std::vector<double> bandwidth_, decode_, prefill_, together_;
  double load_s_ = 0;
  std::uint64_t peak_rss_ = 0;
  double zero_share_ = 0;
  PagerCounters paging_;  // of decoding, after the first round
  std::uint64_t paged_tokens_ = 0;
  double paged_s_ = 0;
};

Result<Format> format_named(const std::string& name) {
  for (const Format format : {Format::kF32, Format::kBf16, Format::kF16, Format::kQ8, Format::kQ6,
                              Format::kQ5, Format::kQ4}) {
    if (name_of(format) == name) return format;
  }
  return fail(Errc::kUsage, "there is no format '" + name.substr(0, 32) + "'", "--format",
              "choose f32, bf16, f16, q8, q6, q5 or q4");
}

Task<Result<double>> Bench::seconds_of(std::function<Result<void>()> work) {
  const Instant began = env_.clock.now();
  CO_TRY_VOID(co_await on_compute(env_, std::move(work)));
  co_return std::chrono::duration<double>(env_.clock.now() - began).count();
}

Task<Result<void>> Bench::open() {
  if (options_->model.path.empty() == options_->synthetic.empty()) {
    co_return fail(Errc::kUsage, "one model is needed", "skein bench",
                   "give MODEL or --synthetic SIZE");
  }
  if (!options_->synthetic.empty() && options_->model.memory_budget != 0) {
    co_return fail(Errc::kUsage, "weights that are made here are all in memory", "--synthetic",
                   "write them with --write FILE first, then give FILE and the budget");
  }
  const Instant began = env_.clock.now();
  Instant made = began;
  if (options_->synthetic.empty()) {
    ModelArguments arguments = options_->model;
    arguments.sessions = std::max(1U, options_->sessions);
    arguments.largest_share = options_->greedy ? 1 : 0;
    CO_TRY(file_, co_await ModelFile::open(env_, arguments));
  } else {
    CO_TRY(const Format format, format_named(options_->format));
    const SyntheticOptions wanted = {options_->synthetic, format, options_->silent};
    auto make = [&]() -> Result<void> {
      TRY(pages_, make_synthetic(wanted, env_.compute.parallel()));
      return {};
    };
    CO_TRY_VOID(co_await on_compute(env_, make));
    made = env_.clock.now();
    CO_TRY(synthetic_, Model::open(*pages_));
  }
  most_ = options_->greedy ? 1 : 0;
  runner_ = std::make_unique<Runner>(model(), env_.compute.parallel());
  states_.assign(std::max(1U, options_->sessions), model().initial_state());
  logits_.resize(states_.size() * model().config().vocab);
  const std::span<float> first = std::span(logits_).first(model().config().vocab);
  std::function<Result<void>()> step = [&, first] {
    return runner_->step(token(0), states_[0], first);
  };
  CO_TRY_VOID(co_await seconds_of(std::move(step)));
  load_s_ = std::chrono::duration<double>(env_.clock.now() - made).count();
  co_return Result<void>{};
}

// Every session goes on by `tokens`, one a pass.
Result<void> Bench::run_sessions(std::uint32_t tokens) {
  const std::size_t vocab = model().config().vocab;
  std::vector<TokenId> ids(states_.size());
  std::vector<Feed> feeds(states_.size());
  for (std::uint32_t i = 0; i < tokens; ++i) {
    for (std::size_t s = 0; s < states_.size(); ++s) {
      ids[s] = token(i * states_.size() + s);
      feeds[s] = {std::span(ids).subspan(s, 1), &states_[s],
                  std::span(logits_).subspan(s * vocab, vocab), most_};
    }
    TRY_VOID(runner_->feed(feeds));
  }
  return {};
}

void Bench::count_paging(const PagerCounters& before, double seconds) {
  paging_ += paged() - before;
  paged_tokens_ += options_->decode;
  paged_s_ += seconds;
}

Task<Result<void>> Bench::measure(Terminal& terminal) {
  const std::span<float> logits = std::span(logits_).first(model().config().vocab);
  std::vector<TokenId> prompt(options_->prefill);
  for (std::size_t i = 0; i < prompt.size(); ++i) prompt[i] = token(i);
  const std::function<Result<void>()> decode = [&]() -> Result<void> {
    for (std::uint32_t i = 0; i < options_->decode; ++i) {
      const TokenId id = token(i);
      const Feed feed = {std::span(&id, 1), &states_[0], logits, most_};
      TRY_VOID(runner_->feed(std::span(&feed, 1)));
    }
    return {};
  };
  const std::function<Result<void>()> prefill = [&] {
    const Feed feed = {prompt, &states_[0], logits, most_};
    return runner_->feed(std::span(&feed, 1));
  };
  const std::function<Result<void>()> together = [&] { return run_sessions(options_->decode); };
  const auto rate_of = [](std::uint64_t tokens, double seconds) {
    return static_cast<double>(tokens) / std::max(seconds, 1e-9);
  };
  std::unique_ptr<Bandwidth> memory;
  for (std::uint32_t i = 0; i <= options_->repeats; ++i) {  // the first round only warms up
    if (terminal.err_is_terminal) {
      terminal.err << "\rround " << i << " of " << options_->repeats << std::flush;
    }
    const Runner::Counters before = runner_->counters();
    const PagerCounters paged_before = paged();
    CO_TRY(const double decode_s, co_await seconds_of(decode));
    if (i > 0) count_paging(paged_before, decode_s);
    const Runner::Counters after = runner_->counters();
    const std::uint64_t rows = after.value_rows_total - before.value_rows_total;
    if (rows != 0) {
      const std::uint64_t read = after.value_rows_read - before.value_rows_read;
      zero_share_ = 1 - static_cast<double>(read) / static_cast<double>(rows);
    }
    CO_TRY(const double prefill_s, co_await seconds_of(prefill));
    double together_s = 0;
    if (options_->sessions > 0) {
      CO_TRY(together_s, co_await seconds_of(together));
    }
    if (i == 0) {
      peak_rss_ = peak_memory(env_.pressure);  // before the buffer that only measuring needs
      // It is far larger than a budget may be.
      const bool has_room = options_->model.memory_budget == 0 && !options_->mapped;
      if (has_room) memory = std::make_unique<Bandwidth>();
      continue;
    }
    if (memory == nullptr) peak_rss_ = peak_memory(env_.pressure);
    double sweep_s = 1e9;
    for (int sweep = 0; memory != nullptr && sweep < kSweeps; ++sweep) {
      std::function<Result<void>()> read = [&]() -> Result<void> {
        memory->sweep(env_.compute.parallel());
        return {};
      };
      CO_TRY(const double seconds, co_await seconds_of(std::move(read)));
      sweep_s = std::min(sweep_s, seconds);
    }
    if (memory != nullptr) bandwidth_.push_back(static_cast<double>(Bandwidth::kBytes) / sweep_s);
    decode_.push_back(rate_of(options_->decode, decode_s));
    prefill_.push_back(rate_of(options_->prefill, prefill_s));
    if (options_->sessions > 0) {
      together_.push_back(
          rate_of(std::uint64_t{options_->decode} * options_->sessions, together_s));
    }
  }
  if (terminal.err_is_terminal) terminal.err << "\n";
  co_return Result<void>{};
}

boost::json::object Bench::report() const {
  const WeightBytes weights = weigh(manifest());
  const double silent_bytes = zero_share_ * static_cast<double>(weights.values);
  const double touched = static_cast<double>(weights.dense) - silent_bytes;
  const double decode = median(decode_);
  const double bandwidth = median(bandwidth_);
  const auto per_token = [&](std::uint64_t sum) {
    return static_cast<double>(sum) / std::max(1.0, static_cast<double>(paged_tokens_));
  };
  boost::json::object out{
      {"model", options_->synthetic.empty() ? options_->model.path : manifest().name},
      {"isa", name_of(current_isa())},
      {"threads", env_.compute.parallel().threads()},
      {"decode_tokens_per_s", decode},
      {"prefill_tokens_per_s", median(prefill_)},
      {"bytes_touched_per_token", static_cast<std::uint64_t>(touched)},
      {"dense_bytes_per_token", weights.dense},
      {"read_bandwidth_bytes_per_s", bandwidth},
      {"roofline_fraction", bandwidth > 0 ? decode * touched / bandwidth : 0},
      {"peak_rss_bytes", peak_rss_},
      {"load_s", load_s_},
      {"page_hits", paging_.hits},
      {"page_misses", paging_.misses},
      {"bytes_read", paging_.bytes_read},
      {"stall_s", std::chrono::duration<double>(paging_.stalled).count()},
      {"ffn_zero_share", zero_share_},
      {"decode_runs", boost::json::array(decode_.begin(), decode_.end())},
      {"prefill_runs", boost::json::array(prefill_.begin(), prefill_.end())},
      {"bandwidth_runs", boost::json::array(bandwidth_.begin(), bandwidth_.end())}};
  if (file_ && file_->pager() != nullptr) {
    out["memory_budget"] = options_->model.memory_budget;
    out["bytes_read_per_token"] = per_token(paging_.bytes_read);
    out["value_bytes_read_per_token"] = per_token(paging_.value_bytes);
    out["tile_bytes_read_per_token"] = per_token(paging_.tile_bytes);
    out["row_hits"] = paging_.row_hits;
    out["row_misses"] = paging_.row_misses;
    const std::uint64_t ahead = paging_.guesses_used + paging_.came_along;
    const auto share = [](std::uint64_t part, std::uint64_t all) {
      return static_cast<double>(part) / static_cast<double>(std::max<std::uint64_t>(1, all));
    };
    out["rows_guessed"] = paging_.rows_guessed;
    out["guess_precision"] = share(paging_.guesses_used, paging_.rows_guessed);
    out["guess_recall"] = share(ahead, ahead + paging_.unguessed);
    out["read_gap_bytes"] = paged().read_gap;
    out["late_s"] = std::chrono::duration<double>(paging_.late).count();
    out["missed_s"] = std::chrono::duration<double>(paging_.missed).count();
    out["verify_s"] = std::chrono::duration<double>(paging_.verifying).count();
    out["decode_s"] = std::chrono::duration<double>(paging_.decoding).count();
    out["stall_share"] =
        std::chrono::duration<double>(paging_.stalled).count() / std::max(1e-9, paged_s_);
  }
  if (options_->sessions > 0) {
    out["sessions"] = options_->sessions;
    out["sessions_tokens_per_s"] = median(together_);
    out["sessions_runs"] = boost::json::array(together_.begin(), together_.end());
  }
  return out;
}

void print_table(const boost::json::object& facts, std::ostream& out) {
  for (const auto& [key, value] : facts) {
    if (value.is_array()) continue;
    out << std::left << std::setw(28) << std::string_view(key);
    if (value.is_double()) {
      out << std::fixed << std::setprecision(3) << value.as_double() << "\n";
    } else if (value.is_string()) {
      out << std::string_view(value.as_string()) << "\n";
    } else {
      out << value << "\n";
    }
  }
}

// Pages with the hashes that a model made for a clock goes without, each page once.
class HashedPages final : public PageSource {
 public:
  explicit HashedPages(std::unique_ptr<PageSource> pages)
      : pages_(std::move(pages)), manifest_(pages_->manifest()) {}
  Result<void> hash() {
    std::map<Digest, std::uint32_t> known;
    std::vector<std::uint32_t> renumbered;
    manifest_.pages.clear();
    for (std::uint32_t i = 0; i < pages_->manifest().pages.size(); ++i) {
      TRY(const ByteView bytes, pages_->page(PageIndex(i)));
      const Digest digest = sha256(bytes);
      const auto next = static_cast<std::uint32_t>(originals_.size());
      const auto [place, is_new] = known.emplace(digest, next);
      renumbered.push_back(place->second);
      if (!is_new) continue;
      originals_.push_back(i);
      manifest_.pages.push_back({digest, static_cast<std::uint32_t>(bytes.size())});
    }
    for (TensorEntry& tensor : manifest_.tensors) {
      for (Segment& segment : tensor.segments) segment.page = renumbered[segment.page];
    }
    return {};
  }
  const Manifest& manifest() const override { return manifest_; }
  Result<ByteView> page(PageIndex index) override {
    return pages_->page(PageIndex(originals_[index.value()]));
  }

 private:
  std::unique_ptr<PageSource> pages_;
  Manifest manifest_;
  std::vector<std::uint32_t> originals_;  // of each page
};

Task<Result<void>> write_synthetic(Env env, std::shared_ptr<BenchOptions> options) {
  CO_TRY(const Format format, format_named(options->format));
  const SyntheticOptions wanted = {options->synthetic, format, options->silent};
  std::unique_ptr<HashedPages> pages;
  auto make = [&]() -> Result<void> {
    TRY(auto made, make_synthetic(wanted, env.compute.parallel()));
    pages = std::make_unique<HashedPages>(std::move(made));
    return pages->hash();
  };
  CO_TRY_VOID(co_await on_compute(env, make));
  CO_TRY_VOID(co_await write_artifact(env.disk, options->write, *pages, std::nullopt));
  co_return Result<void>{};
}

Task<Result<void>> bench(Env env, Terminal& terminal, std::shared_ptr<BenchOptions> options) {
  if (!options->synthetic.empty() && options->model.slow_storage) {
    co_return fail(Errc::kUsage, "weights that are made here are read from no storage",
                   "--synthetic", "write them with --write FILE first, then give FILE");
  }
  if (!options->write.empty()) co_return co_await write_synthetic(env, options);
  Bench bench(env, options);
  CO_TRY_VOID(co_await bench.open());
  CO_TRY_VOID(co_await bench.measure(terminal));
  const boost::json::object facts = bench.report();
  options->json ? print(terminal, facts) : print_table(facts, terminal.out);
  co_return Result<void>{};
}

}  // namespace

void add_bench(CLI::App& tool, Command& chosen) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App* command = add_model_command(
      tool, chosen, "bench", "how fast a model runs here, and how fast memory is read", options);
  command->get_option("MODEL")->required(false);
  add_memory_budget(command, chosen, options->model);
  command
      ->add_flag("--mmap", options->mapped,
                 "run the file mapped, as without a budget, and measure no bandwidth, which takes "
                 "memory: what a budget is compared with under the same limit")
      ->excludes("--memory-budget")
      ->excludes("--storage-mbps")
      ->excludes("--storage-latency-us");
  command->add_option("--synthetic", options->synthetic,
                      "random weights of an official RWKV-7 shape: 0.1B, 0.4B, 1.5B or 2.9B");
  command
      ->add_option("--write", options->write, "put the --synthetic model into this file, no more")
      ->needs("--synthetic");
  command->add_option("--format", options->format, "of --synthetic: bf16, f16, q8, q6, q5, q4");
  command
      ->add_option("--ffn-sparsity", options->silent,
                   "of --synthetic: share of exact zeros in the channel mix (default 0.87)")
      ->check(CLI::Range(0.0, 0.99));
  command->add_option("--decode", options->decode, "tokens a decoding run (default 64)")
      ->check(CLI::Range(1U, kMostTokens));
  command->add_option("--prefill", options->prefill, "tokens of the prompt (default 512, 0 = none)")
      ->check(CLI::Range(0U, kMostTokens));
  command->add_flag("--greedy", options->greedy,
                    "ask for the largest logit alone, as greedy decoding does");
  command->add_option("--sessions", options->sessions, "decode this many sessions together as well")
      ->check(CLI::Range(0U, kMostRows));
  command->add_option("--repeat", options->repeats, "runs, of which medians are told (default 5)")
      ->check(CLI::Range(1U, 1000U));
  command->callback([&chosen, options] {
    chosen.run = [options](Env env, Terminal& terminal) { return bench(env, terminal, options); };
  });
}

}  // namespace skein::tool
