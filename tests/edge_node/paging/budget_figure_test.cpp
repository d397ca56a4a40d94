#include "tests/support/budget_figure.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace skein::test {
namespace {

std::size_t count_of(const std::string& text, const std::string& words) {
  std::size_t count = 0;
  for (std::size_t at = text.find(words); at != std::string::npos; at = text.find(words, at + 1)) {
    ++count;
  }
  return count;
}

BudgetFigure two_sides() {
  return {"model & <size>",
          "a machine",
          {{BudgetSide::kPager, 100, 300, 8},
           {BudgetSide::kPager, 50, 300, 4},
           {BudgetSide::kMapped, 100, 300, 6},
           {BudgetSide::kMapped, 50, 300, 1}}};
}

TEST(BudgetFigure, DrawsALineForEachSideAndSpeedWithItsDash) {
  BudgetFigure figure = two_sides();
  EXPECT_EQ(count_of(draw(figure), "<path "), 2U);
  EXPECT_EQ(count_of(draw(figure), "<circle "), 4U);
  figure.points.push_back({BudgetSide::kPager, 100, 0, 20});
  const std::string svg = draw(figure);
  EXPECT_EQ(count_of(svg, "<path "), 3U);
  EXPECT_NE(svg.find(">300 MB/s<"), std::string::npos);
  EXPECT_NE(svg.find(">not throttled<"), std::string::npos);
  EXPECT_EQ(count_of(svg, "stroke-dasharray"), 2U);  // mmap's line and its entry in the legend
}

TEST(BudgetFigure, LargeBudgetsStandLeftAndFasterTokensHigher) {
  const std::string svg = draw(two_sides());
  // From 100 % at 8 tokens/s to 50 % at 4 of a plot that ends at 1 and 10.
  EXPECT_NE(svg.find("<path d=\"M100.0 118.5 L620.0 225.7\""), std::string::npos) << svg;
}

TEST(BudgetFigure, EqualFactorsAreEqualHeights) {
  const std::string svg = draw({"",
                                "",
                                {{BudgetSide::kPager, 100, 0, 10},
                                 {BudgetSide::kPager, 50, 0, 1},
                                 {BudgetSide::kPager, 25, 0, 0.1}}});
  const std::size_t at = svg.find("<path d=\"M");
  ASSERT_NE(at, std::string::npos);
  double x[3], y[3];
  ASSERT_EQ(std::sscanf(svg.c_str() + at, "<path d=\"M%lf %lf L%lf %lf L%lf %lf\"", &x[0], &y[0],
                        &x[1], &y[1], &x[2], &y[2]),
            6);
  EXPECT_NEAR(y[1] - y[0], y[2] - y[1], 0.2);
  EXPECT_LT(x[0], x[1]);
  EXPECT_NEAR((x[2] - x[1]) * 2, x[1] - x[0], 0.3);
}

TEST(BudgetFigure, AMissingPointBreaksItsLineAndIsTold) {
  BudgetFigure figure = two_sides();
  figure.points.push_back({BudgetSide::kPager, 75, 300, 0, "killed"});
  figure.points.push_back({BudgetSide::kPager, 25, 300, 0, "too little"});
  figure.points.push_back({BudgetSide::kPager, 10, 300, 0, "too little"});
  const std::string svg = draw(figure);
  EXPECT_NE(svg.find(">no point: pager at 25, 10 %: too little<"), std::string::npos) << svg;
  EXPECT_NE(svg.find(">no point: pager at 75 %: killed<"), std::string::npos);
  const std::size_t path = svg.find("<path d=\"");
  EXPECT_EQ(count_of(svg.substr(path, svg.find("\" ", path) - path), "M"), 2U);
}

TEST(BudgetFigure, SaysAtWhichSpeedsAPointIsMissingUnlessAtAll) {
  BudgetFigure figure = two_sides();
  figure.points.push_back({BudgetSide::kMapped, 10, 300, 0, "not done"});
  figure.points.push_back({BudgetSide::kMapped, 10, 0, 5});
  EXPECT_NE(draw(figure).find(">no point: mmap at 10 % (300 MB/s): not done<"), std::string::npos);
}

TEST(BudgetFigure, TheOrderOfPointsMakesNoDifference) {
  BudgetFigure figure = two_sides();
  const std::string svg = draw(figure);
  std::ranges::reverse(figure.points);
  EXPECT_EQ(draw(figure), svg);
}

TEST(BudgetFigure, WordsAreEscapedAndNothingIsDrawnOfNothing) {
  EXPECT_NE(draw(two_sides()).find(">model &amp; &lt;size&gt;<"), std::string::npos);
  const std::string empty = draw({"t", "", {}});
  EXPECT_EQ(count_of(empty, "<path "), 0U);
  EXPECT_TRUE(empty.ends_with("</svg>\n"));
}

}  // namespace
}  // namespace skein::test
