// Two plots as inline SVG. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace skein {

// & < > " ' as HTML and SVG want them.
std::string escaped(std::string_view text);
// Of few digits: "0.0123", "4.55", "1.2e-05".
std::string short_number(double value);

struct Series {
  std::string name;
  std::string colour;                         // of CSS
  std::vector<std::optional<double>> values;  // one a label; nullopt: nothing is drawn
};
struct Plot {
  std::string title;
  std::string unit = {};  // of values
  std::vector<std::string> labels = {};
  std::vector<Series> series = {};
  bool log_scale = false;  // for values above zero; others are left out
  bool in_percent = false;
};

// Bars from zero, the series of a label side by side.
std::string bars(const Plot& plot);
// A dot a value, in the order of the labels, which are told when one points at it.
std::string dots(const Plot& plot);

}  // namespace skein
