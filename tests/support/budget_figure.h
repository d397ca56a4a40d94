// BudgetFigure: tokens a second against the memory a model may take, drawn as SVG. Pure; for
// benches.
#pragma once

#include <string>
#include <vector>

namespace skein::test {

enum class BudgetSide { kPager, kCoded, kMapped };
inline constexpr BudgetSide kBudgetSides[] = {BudgetSide::kPager, BudgetSide::kCoded,
                                              BudgetSide::kMapped};
const char* name_of(BudgetSide side);  // "pager", "pager, coded file", "mmap"

struct BudgetPoint {
  BudgetSide side = BudgetSide::kPager;
  double percent = 0;       // the budget, of the artifact
  double mbps = 0;          // storage, million bytes a second; 0: not throttled
  double tokens_per_s = 0;  // not above 0: there is no such point ...
  std::string why_not{};    // ... for this reason, which is written below the plot
};

struct BudgetFigure {
  std::string title;
  std::string caption;  // the machine; below the title
  std::vector<BudgetPoint> points;
};

// X: the budget, large ones left. Y: tokens a second, logarithmic. A colour for each speed, a dash
// for each side; a line is broken where a point is missing. The same points, in any order, give the
// same text.
std::string draw(const BudgetFigure& figure);

}  // namespace skein::test
