#include "common/env/pressure/internal/parts.h"
#include "common/env/pressure/internal/text.h"

namespace skein::pressure {

namespace {

struct StallLine {
  double share = 0;
  std::chrono::microseconds total{0};
};

// "avg10=0.12 avg60=0.00 avg300=0.00 total=345"
std::optional<StallLine> parse_line(std::string_view words) {
  constexpr std::string_view kAverage = "avg10=";
  constexpr std::string_view kTotal = "total=";
  std::optional<double> percent;
  std::optional<std::int64_t> total;
  for (std::string_view word = next_word(words); !word.empty(); word = next_word(words)) {
    if (word.starts_with(kAverage)) percent = number<double>(word.substr(kAverage.size()));
    if (word.starts_with(kTotal)) total = number<std::int64_t>(word.substr(kTotal.size()));
  }
  if (!percent || !(*percent >= 0 && *percent <= 100) || !total || *total < 0) return std::nullopt;
  return StallLine{*percent / 100, std::chrono::microseconds(*total)};
}

}  // namespace

std::optional<StallTimes> parse_stalls(std::string_view text) {
  std::optional<StallLine> some;
  std::optional<StallLine> full;
  while (!text.empty()) {
    std::string_view line = next_line(text);
    const std::string_view kind = next_word(line);
    if (kind == "some") some = parse_line(line);
    if (kind == "full") full = parse_line(line);
  }
  if (!some) return std::nullopt;
  const StallLine all = full.value_or(StallLine{});
  return StallTimes{some->total, all.total, some->share, all.share};
}

}  // namespace skein::pressure
