// Tokens a second against the memory a model may take, for several storage speeds: a budget
// (the pager) against the same file mapped, each in a cgroup of its own with the same limits of
// memory and of reads, the file cold. Takes root, or delegation. Not part of `all`:
//   cmake --build --preset release --target budget_curve skein && build/release/bin/budget_curve
//   FILE.skein --points FILE.jsonl --svg FILE.svg [--coded CODED.skein] [--title T] [--caption C]
// Points are added to --points as they are measured; those that it holds already are not measured
// again. --help names the rest.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "tests/support/bench_in_cgroup.h"
#include "tests/support/budget_figure.h"

namespace skein {
namespace {

using test::BenchAsked;
using test::BenchDone;
using test::BudgetPoint;
using test::BudgetSide;

struct Asked {
  std::string file, coded, points, svg, title, caption;
  std::vector<double> percents{100, 75, 50, 35, 25, 15, 10};
  std::vector<double> speeds{100, 300, 1000, 0};
  std::uint32_t decode = 2, repeat = 3, threads = 2;
  std::string told_rates;  // coder and memory; storage is known
  unsigned deadline_s = 300;
  bool only_draw = false;
};

void add_options(CLI::App& tool, Asked& asked) {
  tool.add_option("FILE", asked.file, "a .skein artifact")->required()->check(CLI::ExistingFile);
  tool.add_option("--coded", asked.coded, "the same artifact with coded pages: a third side")
      ->check(CLI::ExistingFile);
  tool.add_option("--points", asked.points, "JSON lines, one a point; read first, then added to")
      ->required();
  tool.add_option("--svg", asked.svg, "where the figure goes");
  tool.add_option("--title", asked.title, "of the figure (default: the file's name and size)");
  tool.add_option("--caption", asked.caption, "the figure's second line: the machine");
  tool.add_option("--budgets", asked.percents, "% of FILE's size")
      ->delimiter(',')
      ->check(CLI::Range(0.1, 1000.0))
      ->capture_default_str();
  tool.add_option("--mbps", asked.speeds, "storage, million bytes a second; 0: not throttled")
      ->delimiter(',')
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  tool.add_option("--decode", asked.decode, "tokens a round")->capture_default_str();
  tool.add_option("--repeat", asked.repeat, "rounds, of which the median counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  tool.add_option("--threads", asked.threads, "of the model")->capture_default_str();
  tool.add_option("--tell-rates", asked.told_rates,
                  "CODER,MEMORY: tell the pager these and the throttled speed (--paging-rates) "
                  "instead of letting it measure");
  tool.add_option("--deadline", asked.deadline_s, "seconds a point, then it counts as missing")
      ->capture_default_str();
  tool.add_flag("--draw", asked.only_draw, "measure nothing, draw what --points holds");
}

constexpr std::string_view kTooSmall = "give at least ";

// A reason short enough for a line of the figure.
std::string short_reason(const std::string& sentence, double artifact_bytes) {
  const std::size_t at = sentence.find(kTooSmall);
  if (at == std::string::npos) return sentence.substr(0, 90);
  const std::string least = sentence.substr(at + kTooSmall.size());
  char text[96];
  const double mib = std::strtod(least.c_str(), nullptr);
  std::snprintf(text, sizeof text, "too little, the least is %.16s (%.1f %%)", least.c_str(),
                100 * mib * 1048576 / artifact_bytes);
  return text;
}

class Sweep {
 public:
  explicit Sweep(const Asked& asked)
      : asked_(asked), bytes_(static_cast<double>(std::filesystem::file_size(asked.file))) {}

  // False: a line is no point.
  bool read_points() {
    std::ifstream file(asked_.points);
    for (std::string line; std::getline(file, line);) {
      boost::system::error_code wrong;
      const boost::json::value told = boost::json::parse(line, wrong);
      if (line.empty()) continue;
      if (wrong || !told.is_object() || !told.as_object().contains("key")) {
        std::printf("%s holds a line that is no point: %s\n", asked_.points.c_str(), line.c_str());
        return false;
      }
      const auto& fields = told.as_object();
      known_[std::string(fields.at("key").as_string())] = fields;
    }
    return true;
  }

  // Of one budget and speed the sides come one after another, so that what else the machine does
  // meets all of them. False: --points cannot be written.
  bool run() {
    for (const double mbps : asked_.speeds) {
      for (const double percent : asked_.percents) {
        for (const BudgetSide side : test::kBudgetSides) {
          if (side == BudgetSide::kCoded && asked_.coded.empty()) continue;
          const BenchAsked bench = bench_of(side, percent, mbps);
          const std::string key = key_of(side, percent, bench);
          boost::json::object& point = known_[key];
          const bool is_new = point.empty();
          if (is_new && !asked_.only_draw) {
            point = measure(side, percent, bench);
            point["key"] = key;
            print(point);
            if (!keep(point)) return false;
          }
          if (!point.empty()) drawn_.push_back(drawn(side, percent, mbps, point));
        }
      }
    }
    return true;
  }

  bool draw() const {
    if (asked_.svg.empty()) return true;
    char title[256];
    std::snprintf(title, sizeof title, "%s, %.0f MB: tokens/s under a memory budget",
                  std::filesystem::path(asked_.file).filename().c_str(), bytes_ / 1e6);
    const std::filesystem::path folder = std::filesystem::path(asked_.svg).parent_path();
    std::error_code wrong;  // told by the file
    if (!folder.empty()) std::filesystem::create_directories(folder, wrong);
    std::ofstream file(asked_.svg);
    file << test::draw({asked_.title.empty() ? title : asked_.title, asked_.caption, drawn_});
    file.flush();
    if (!file) std::printf("%s cannot be written\n", asked_.svg.c_str());
    return static_cast<bool>(file);
  }

 private:
  bool keep(const boost::json::object& point) const {
    std::ofstream file(asked_.points, std::ios::app);
    file << boost::json::serialize(point) << "\n" << std::flush;
    if (!file) std::printf("%s cannot be written\n", asked_.points.c_str());
    return static_cast<bool>(file);
  }

  BenchAsked bench_of(BudgetSide side, double percent, double mbps) const {
    BenchAsked bench{
        .file = side == BudgetSide::kCoded ? asked_.coded : asked_.file,
        .mapped = side == BudgetSide::kMapped,
        .memory_bytes = static_cast<std::uint64_t>(bytes_ * percent / 100) / 4096 * 4096,
        .mbps = mbps,
        .decode = asked_.decode,
        .repeat = asked_.repeat,
        .threads = asked_.threads,
        .deadline = std::chrono::seconds(asked_.deadline_s)};
    if (!bench.mapped && !asked_.told_rates.empty() && mbps > 0) {
      bench.paging_rates = std::to_string(mbps) + "," + asked_.told_rates;
    }
    return bench;
  }

  // What makes two measurements the same one.
  std::string key_of(BudgetSide side, double percent, const BenchAsked& bench) const {
    char text[160];
    std::snprintf(text, sizeof text, "%s %g %% of %.0f, %g MB/s, %u x %u tokens, %u threads, ",
                  test::name_of(side), percent, bytes_, bench.mbps, bench.repeat, bench.decode,
                  bench.threads);
    return text + std::filesystem::path(bench.file).filename().string() +
           (bench.paging_rates.empty() ? "" : ", told " + bench.paging_rates);
  }

  static boost::json::object measure(BudgetSide side, double percent, const BenchAsked& bench) {
    const auto began = std::chrono::steady_clock::now();
    const BenchDone done = bench_in_cgroup(bench);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    const auto read = static_cast<double>(done.run.read_bytes);
    boost::json::object point{
        {"side", test::name_of(side)},
        {"file", bench.file},
        {"budget_percent", percent},
        {"budget_bytes", bench.memory_bytes},
        {"storage_mbps", bench.mbps},
        {"tokens_per_s", done.number("decode_tokens_per_s")},
        {"peak_charged_bytes", done.run.peak_bytes},
        // Of the device, opening the model included, over all tokens: alike for every side.
        {"device_bytes", done.run.read_bytes},
        {"device_bytes_per_token", read / static_cast<double>(bench.tokens())},
        // Of decoding, as the pager counts; 0 when mapped.
        {"bytes_read_per_token", done.number("bytes_read_per_token")},
        {"stall_share", done.number("stall_share")},
        {"killed", done.run.killed},
        {"late", done.run.late},
        {"exit_code", done.run.exit_code},
        {"seconds", took.count()},
        {"says", done.sentence}};
    if (const auto* runs = done.facts.if_contains("decode_runs")) point["decode_runs"] = *runs;
    return point;
  }

  static void print(const boost::json::object& point) {
    std::printf(
        "%s: %.3f tokens/s, most charged %.1f MB, %.1f MB a token, waiting %.2f, %.0f s%s%s\n",
        point.at("key").as_string().c_str(), point.at("tokens_per_s").to_number<double>(),
        point.at("peak_charged_bytes").to_number<double>() / 1e6,
        point.at("device_bytes_per_token").to_number<double>() / 1e6,
        point.at("stall_share").to_number<double>(), point.at("seconds").to_number<double>(),
        point.at("says").as_string().empty() ? "" : ": ", point.at("says").as_string().c_str());
    std::fflush(stdout);
  }

  BudgetPoint drawn(BudgetSide side, double percent, double mbps,
                    const boost::json::object& point) const {
    return {side, percent, mbps, point.at("tokens_per_s").to_number<double>(),
            short_reason(std::string(point.at("says").as_string()), bytes_)};
  }

  const Asked& asked_;
  double bytes_;
  std::map<std::string, boost::json::object> known_;
  std::vector<BudgetPoint> drawn_;
};

int main_of(int argc, char** argv) {
  Asked asked;
  CLI::App tool("tokens a second against memory: a budget against the file mapped");
  add_options(tool, asked);
  CLI11_PARSE(tool, argc, argv);
  if (const auto why = asked.only_draw ? std::nullopt : test::why_no_cgroup()) {
    std::printf("%s\n", why->c_str());
    return 2;
  }
  Sweep sweep(asked);
  if (!sweep.read_points()) return 3;
  return sweep.run() && sweep.draw() ? 0 : 6;
}

}  // namespace
}  // namespace skein

int main(int argc, char** argv) { return skein::main_of(argc, argv); }
