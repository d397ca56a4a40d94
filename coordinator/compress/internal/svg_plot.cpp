#include "coordinator/compress/internal/svg_plot.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <sstream>

namespace skein {
namespace {

constexpr double kWidth = 720;
constexpr double kHeight = 220;
constexpr double kLeft = 64;    // room for numbers
constexpr double kBottom = 28;  // for labels
constexpr double kTop = 12;
constexpr std::size_t kMostLabels = 16;  // below the axis; more would overlap

// From values to heights.
class Axis {
 public:
  explicit Axis(const Plot& plot) : log_(plot.log_scale) {
    std::vector<double> values;
    for (const Series& series : plot.series) {
      for (const std::optional<double>& value : series.values) {
        if (value && shows(*value)) values.push_back(*value);
      }
    }
    if (values.empty()) values.push_back(1);
    high_ = std::max(*std::ranges::max_element(values), 1e-30);
    low_ = log_ ? *std::ranges::min_element(values) : 0;
    if (!log_) return;
    low_ = std::floor(std::log10(low_));
    high_ = std::max(std::ceil(std::log10(high_)), low_ + 1);
  }
  bool shows(double value) const { return std::isfinite(value) && (!log_ || value > 0); }
  double y(double value) const {
    const double at = log_ ? std::log10(value) : value;
    const double share = std::clamp((at - low_) / (high_ - low_), 0.0, 1.0);
    return kHeight - kBottom - share * (kHeight - kBottom - kTop);
  }
  std::vector<double> ticks() const {
    std::vector<double> out;
    if (log_) {
      const double step = std::max(std::ceil((high_ - low_) / 5), 1.0);
      for (double at = low_; at <= high_; at += step) out.push_back(std::pow(10, at));
    } else {
      for (const double share : {0.0, 0.25, 0.5, 0.75, 1.0}) out.push_back(share * high_);
    }
    return out;
  }

 private:
  bool log_;
  double low_ = 0;
  double high_ = 1;
};

std::string told(const Plot& plot, double value) {
  return plot.in_percent ? short_number(value * 100) + " %"
                         : short_number(value) + (plot.unit.empty() ? "" : " " + plot.unit);
}

void open(const Plot& plot, const Axis& axis, std::ostream& out) {
  out << "<figure><figcaption>" << escaped(plot.title);
  for (const Series& series : plot.series) {
    if (series.name.empty()) continue;
    out << " <span class=\"key\" style=\"background:" << series.colour << "\"></span>"
        << escaped(series.name);
  }
  out << "</figcaption><svg viewBox=\"0 0 " << kWidth << " " << kHeight
      << "\" role=\"img\" aria-label=\"" << escaped(plot.title) << "\">";
  for (const double tick : axis.ticks()) {
    const double y = axis.y(tick);
    out << "<line class=\"grid\" x1=\"" << kLeft << "\" x2=\"" << kWidth << "\" y1=\"" << y
        << "\" y2=\"" << y << "\"/><text x=\"" << kLeft - 6 << "\" y=\"" << y + 4
        << "\" text-anchor=\"end\">" << escaped(told(plot, tick)) << "</text>";
  }
}

double place(const Plot& plot, double index) {
  return kLeft + (kWidth - kLeft) * index /
                     static_cast<double>(std::max<std::size_t>(plot.labels.size(), 1));
}

void close(const Plot& plot, std::ostream& out) {
  const std::size_t step = (plot.labels.size() + kMostLabels - 1) / kMostLabels;
  for (std::size_t i = 0; step == 1 && i < plot.labels.size(); ++i) {
    out << "<text x=\"" << place(plot, static_cast<double>(i) + 0.5) << "\" y=\"" << kHeight - 8
        << "\" text-anchor=\"middle\">" << escaped(plot.labels[i]) << "</text>";
  }
  out << "</svg></figure>\n";
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return out;
}

std::string short_number(double value) {
  std::ostringstream out;
  out << std::setprecision(value >= 1000 && value < 1e6 ? 6 : 4) << value;
  return out.str();
}

std::string bars(const Plot& plot) {
  const Axis axis(plot);
  std::ostringstream out;
  open(plot, axis, out);
  const auto count = static_cast<double>(plot.series.size());
  for (std::size_t i = 0; i < plot.labels.size(); ++i) {
    for (std::size_t k = 0; k < plot.series.size(); ++k) {
      const std::optional<double>& value = plot.series[k].values[i];
      if (!value || !axis.shows(*value)) continue;
      const double at = static_cast<double>(i) + 0.15 + 0.7 * static_cast<double>(k) / count;
      const double x = place(plot, at);
      const double y = axis.y(*value);
      out << "<rect x=\"" << x << "\" y=\"" << y << "\" width=\""
          << place(plot, at + 0.66 / count) - x << "\" height=\"" << kHeight - kBottom - y
          << "\" fill=\"" << plot.series[k].colour << "\"><title>" << escaped(plot.labels[i])
          << ", " << escaped(plot.series[k].name) << ": " << escaped(told(plot, *value))
          << "</title></rect>";
    }
  }
  close(plot, out);
  return out.str();
}

std::string dots(const Plot& plot) {
  const Axis axis(plot);
  std::ostringstream out;
  open(plot, axis, out);
  for (const Series& series : plot.series) {
    for (std::size_t i = 0; i < plot.labels.size(); ++i) {
      const std::optional<double>& value = series.values[i];
      if (!value || !axis.shows(*value)) continue;
      out << "<circle cx=\"" << place(plot, static_cast<double>(i) + 0.5) << "\" cy=\""
          << axis.y(*value) << "\" r=\"3\" fill=\"" << series.colour << "\"><title>"
          << escaped(plot.labels[i]) << ": " << escaped(told(plot, *value)) << "</title></circle>";
    }
  }
  close(plot, out);
  return out.str();
}

}  // namespace skein
