#include "tests/support/budget_figure.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>

namespace skein::test {

const char* name_of(BudgetSide side) {
  switch (side) {
    case BudgetSide::kPager:
      return "pager";
    case BudgetSide::kCoded:
      return "pager, coded file";
    case BudgetSide::kMapped:
      return "mmap";
  }
  return "";
}

namespace {

constexpr double kLeft = 80, kRight = 640, kTop = 84, kBottom = 440, kWidth = 860;
constexpr double kLine = 20;  // between lines of the legend and of the remarks
constexpr const char* kColours[] = {"#d55e00", "#0072b2", "#009e73", "#222222", "#cc79a7"};

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

std::string place(double value) {  // in the drawing; a tenth of a pixel is enough
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else {
      out += c;
    }
  }
  return out;
}

std::string speed_name(double mbps) { return mbps > 0 ? number(mbps) + " MB/s" : "not throttled"; }

// Throttled ones first, by speed.
bool slower(double a, double b) { return (a > 0) != (b > 0) ? a > 0 : a < b; }

struct Slower {
  bool operator()(double a, double b) const { return slower(a, b); }
};
using Speeds = std::set<double, Slower>;

// 1, 2 or 5 times a power of ten: the largest not above `value`, or the smallest not below it.
double round_step(double value, bool up) {
  const double power = std::pow(10, std::floor(std::log10(value)));
  const double steps[] = {1, 2, 5, 10};
  double best = up ? 10 * power : power;
  for (const double step : steps) {
    const double tick = step * power;
    if (up && tick >= value * (1 - 1e-9)) best = std::min(best, tick);
    if (!up && tick <= value * (1 + 1e-9)) best = std::max(best, tick);
  }
  return best;
}

class Drawing {
 public:
  explicit Drawing(const BudgetFigure& figure) : figure_(figure) {
    std::ranges::sort(figure_.points, [](const BudgetPoint& a, const BudgetPoint& b) {
      if (a.percent != b.percent) return a.percent > b.percent;
      return a.mbps != b.mbps ? slower(a.mbps, b.mbps) : a.side < b.side;
    });
    double least = 0, most = 0;
    for (const BudgetPoint& point : figure_.points) {
      speeds_.insert(point.mbps);
      percents_.insert(point.percent);
      if (!(point.tokens_per_s > 0)) continue;
      least = least > 0 ? std::min(least, point.tokens_per_s) : point.tokens_per_s;
      most = std::max(most, point.tokens_per_s);
    }
    if (least > 0) {
      bottom_ = round_step(least, false);
      top_ = round_step(most * 1.05, true);
    }
  }

  std::string svg() {
    grid();
    for (const BudgetSide side : kBudgetSides) {
      for (const double mbps : speeds_) curve(side, mbps);
    }
    legend();
    const double height = remarks();
    return "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + number(kWidth) + "\" height=\"" +
           number(height) + "\" viewBox=\"0 0 " + number(kWidth) + " " + number(height) +
           "\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"13\">\n" +
           "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n" + out_ + "</svg>\n";
  }

 private:
  double x_of(double percent) const {
    const double most = percents_.empty() ? 100 : *percents_.rbegin();
    const double least = percents_.empty() ? 0 : *percents_.begin();
    const double share = most > least ? (most - percent) / (most - least) : 0.5;
    return kLeft + 20 + share * (kRight - kLeft - 40);
  }
  double y_of(double tokens_per_s) const {
    const double share = std::log(tokens_per_s / bottom_) / std::log(top_ / bottom_);
    return kBottom - share * (kBottom - kTop);
  }
  const char* colour_of(double mbps) const {
    const auto index = std::distance(speeds_.begin(), speeds_.find(mbps));
    return kColours[static_cast<std::size_t>(index) % std::size(kColours)];
  }

  void text(double x, double y, const std::string& words, const char* more = "") {
    out_ += "<text x=\"" + place(x) + "\" y=\"" + place(y) + "\"" + more + ">" + escaped(words) +
            "</text>\n";
  }
  void line(double x1, double y1, double x2, double y2, const std::string& stroke) {
    out_ += "<line x1=\"" + place(x1) + "\" y1=\"" + place(y1) + "\" x2=\"" + place(x2) +
            "\" y2=\"" + place(y2) + "\" " + stroke + "/>\n";
  }

  static std::string stroke_of(BudgetSide side, const char* colour) {
    const char* dash = side == BudgetSide::kMapped  ? " stroke-dasharray=\"7 5\""
                       : side == BudgetSide::kCoded ? " stroke-dasharray=\"12 4 2 4\""
                                                    : "";
    return std::string("stroke=\"") + colour + "\" stroke-width=\"2\" fill=\"none\"" + dash;
  }

  void grid() {
    text(kLeft, 28, figure_.title, " font-size=\"17\" font-weight=\"bold\"");
    text(kLeft, 50, figure_.caption, " fill=\"#555555\" font-size=\"12\"");
    for (double tick = bottom_; tick <= top_ * (1 + 1e-9); tick = round_step(tick * 1.5, true)) {
      line(kLeft, y_of(tick), kRight, y_of(tick), "stroke=\"#dddddd\"");
      text(kLeft - 8, y_of(tick) + 4, number(tick), " text-anchor=\"end\"");
    }
    for (const double percent : percents_) {
      line(x_of(percent), kBottom, x_of(percent), kBottom + 5, "stroke=\"#444444\"");
      text(x_of(percent), kBottom + 20, number(percent), " text-anchor=\"middle\"");
    }
    line(kLeft, kBottom, kRight, kBottom, "stroke=\"#444444\"");
    line(kLeft, kTop, kLeft, kBottom, "stroke=\"#444444\"");
    text((kLeft + kRight) / 2, kBottom + 42, "memory budget, % of the artifact",
         " text-anchor=\"middle\"");
    const double middle = (kTop + kBottom) / 2;
    const std::string turned =
        " text-anchor=\"middle\" transform=\"rotate(-90 24 " + number(middle) + ")\"";
    text(24, middle, "decoded tokens/s (logarithmic)", turned.c_str());
  }

  void curve(BudgetSide side, double mbps) {
    std::string path, marks;
    bool joined = false;
    for (const BudgetPoint& point : figure_.points) {
      if (point.side != side || point.mbps != mbps) continue;
      if (!(point.tokens_per_s > 0)) {
        joined = false;
        continue;
      }
      const std::string x = place(x_of(point.percent)), y = place(y_of(point.tokens_per_s));
      path += (joined ? "L" : "M") + x + " " + y + " ";
      joined = true;
      const char* fill = side == BudgetSide::kMapped ? "white" : colour_of(mbps);
      marks += "<circle cx=\"" + x + "\" cy=\"" + y + "\" r=\"3.5\" stroke=\"" + colour_of(mbps) +
               "\" stroke-width=\"1.5\" fill=\"" + fill + "\"/>\n";
    }
    if (path.empty()) return;
    path.pop_back();
    out_ += "<path d=\"" + path + "\" " + stroke_of(side, colour_of(mbps)) + "/>\n" + marks;
  }

  void legend() {
    double y = kTop + 10;
    const auto entry = [&](const std::string& stroke, const std::string& words) {
      line(kRight + 20, y - 4, kRight + 60, y - 4, stroke);
      text(kRight + 68, y, words);
      y += kLine;
    };
    text(kRight + 20, y, "storage", " font-weight=\"bold\"");
    y += kLine;
    for (const double mbps : speeds_) {
      entry(stroke_of(BudgetSide::kPager, colour_of(mbps)), speed_name(mbps));
    }
    y += kLine / 2;
    text(kRight + 20, y, "the same memory for", " font-weight=\"bold\"");
    y += kLine;
    for (const BudgetSide side : kBudgetSides) {
      const bool present = std::ranges::any_of(
          figure_.points, [&](const BudgetPoint& point) { return point.side == side; });
      if (present) entry(stroke_of(side, "#555555"), name_of(side));
    }
  }

  // Missing points with the same reason at the same speeds share a line. Where the drawing ends.
  double remarks() {
    struct Missing {
      BudgetSide side;
      std::string why;
      auto operator<=>(const Missing&) const = default;
    };
    std::map<Missing, std::map<double, Speeds, std::greater<>>> missing;
    for (const BudgetPoint& point : figure_.points) {
      if (!(point.tokens_per_s > 0)) {
        missing[{point.side, point.why_not}][point.percent].insert(point.mbps);
      }
    }
    double y = kBottom + 70;
    for (const auto& [reason, by_percent] : missing) {
      std::map<std::string, std::string> percents;  // by their speeds
      for (const auto& [percent, speeds] : by_percent) {
        std::string& list = percents[named(speeds)];
        list += (list.empty() ? "" : ", ") + number(percent);
      }
      for (const auto& [at, list] : percents) {
        const std::string where = at.empty() ? "" : " (" + at + ")";
        text(kLeft, y,
             std::string("no point: ") + name_of(reason.side) + " at " + list + " %" + where +
                 ": " + reason.why,
             " fill=\"#555555\" font-size=\"12\"");
        y += kLine;
      }
    }
    return y;
  }
  std::string named(const Speeds& speeds) const {  // empty: all there are
    std::string list;
    if (speeds.size() == speeds_.size()) return list;
    for (const double mbps : speeds) list += (list.empty() ? "" : ", ") + speed_name(mbps);
    return list;
  }

  BudgetFigure figure_;
  Speeds speeds_;
  std::set<double> percents_;
  double bottom_ = 0.1, top_ = 100;
  std::string out_;
};

}  // namespace

std::string draw(const BudgetFigure& figure) { return Drawing(figure).svg(); }

}  // namespace skein::test
