#include "coordinator/compress/internal/report_page.h"

#include <cmath>
#include <functional>
#include <iomanip>
#include <sstream>

#include "coordinator/compress/internal/svg_plot.h"

namespace skein {
namespace {

constexpr const char* kBefore = "#9aa7b4";
constexpr const char* kAfter = "#1f6feb";
constexpr const char* kOther = "#d9730d";

constexpr std::string_view kHead = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>What compression cost</title>
<style>
body{font:15px/1.45 system-ui,sans-serif;color:#1c2128;max-width:1000px}
body{margin:2em auto;padding:0 1em}
h1{font-size:1.5em;margin-bottom:.1em}h2{font-size:1.15em;margin:1.6em 0 .4em}
.sub{color:#57606a}.tiles{display:flex;flex-wrap:wrap;gap:12px;margin:1em 0}
.tile{border:1px solid #d0d7de;border-radius:8px;padding:8px 14px}
.tile b{display:block;font-size:1.3em}figure{margin:1em 0}
figcaption{font-weight:600;margin-bottom:4px}svg{width:100%;height:auto}
svg text{font-size:11px;fill:#57606a}.grid{stroke:#e3e8ee}
.key{display:inline-block;width:11px;height:11px;margin:0 4px 0 12px}
table{border-collapse:collapse;width:100%;font-size:13px}
th,td{padding:3px 8px;text-align:right;border-bottom:1px solid #e3e8ee}
th:first-child,td:first-child{text-align:left}
</style></head><body>
)";

std::string fixed(double value, int digits) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(digits) << value;
  return out.str();
}

std::string megabytes(double bytes) {
  return bytes < 1e6 ? fixed(bytes / 1e3, 1) + " kB" : fixed(bytes / 1e6, 2) + " MB";
}
std::string megabytes(std::uint64_t bytes) { return megabytes(static_cast<double>(bytes)); }

std::string growth(double before, double after) {
  const double percent = (after / before - 1) * 100;
  return (percent < 0 ? "" : "+") + fixed(percent, 3) + " %";
}

void tile(std::string_view value, std::string_view what, std::ostream& out) {
  out << "<div class=\"tile\"><b>" << escaped(value) << "</b>" << escaped(what) << "</div>";
}

void row(std::span<const std::string> cells, std::string_view tag, std::ostream& out) {
  out << "<tr>";
  for (const std::string& cell : cells) {
    out << "<" << tag << ">" << escaped(cell) << "</" << tag << ">";
  }
  out << "</tr>\n";
}
void row(std::initializer_list<std::string> cells, std::string_view tag, std::ostream& out) {
  row(std::span(cells.begin(), cells.size()), tag, out);
}

struct Totals {
  std::uint64_t before = 0;
  std::uint64_t after = 0;
  std::uint64_t resident = 0;  // all but the embedding
};

Totals totals_of(const PressResult& pressed) {
  Totals sums;
  for (const TensorReport& tensor : pressed.tensors) sums.before += tensor.bytes_before;
  for (const TensorEntry& tensor : pressed.artifact->manifest().tensors) {
    const std::uint64_t bytes =
        stored_bytes(tensor.format, tensor.layout, tensor.rows, tensor.cols);
    sums.after += bytes;
    if (tensor.name != "emb.weight") sums.resident += bytes;
  }
  return sums;
}

void add_overview(const PressResult& pressed, const Written& written, std::ostream& out) {
  const Manifest& manifest = pressed.artifact->manifest();
  const Totals sums = totals_of(pressed);
  out << "<h1>" << escaped(manifest.name.empty() ? "A model" : manifest.name)
      << ": what compression cost</h1><p class=\"sub\">artifact " << escaped(written.digest.hex())
      << "; "
      << (pressed.calibration.empty() ? "not calibrated"
                                      : "calibrated on " + escaped(pressed.calibration))
      << "; " << fixed(written.seconds, 1) << " s</p><div class=\"tiles\">";
  tile(fixed(bits_per_weight(pressed), 3), "bits a weight", out);
  tile(megabytes(sums.before) + " → " + megabytes(sums.after), "weights", out);
  tile(megabytes(written.file_bytes), "on disk and on the wire", out);
  tile(megabytes(sums.resident), "resident: all but the embedding", out);
  if (pressed.measured) {
    const MeasuredLoss& loss = *pressed.measured;
    tile(fixed(loss.perplexity_before, 4) + " → " + fixed(loss.perplexity_after, 4),
         "perplexity on " + std::to_string(loss.ids) + " ids held out", out);
    tile(growth(loss.perplexity_before, loss.perplexity_after), "loss in perplexity", out);
  }
  if (pressed.predicted_loss) {
    tile("+" + fixed(std::expm1(*pressed.predicted_loss) * 100, 3) + " %", "loss predicted", out);
  }
  out << "</div>\n";
  const auto number = [](std::uint64_t bytes) { return static_cast<double>(bytes) / 1e6; };
  out << bars({.title = "Sizes",
               .unit = "MB",
               .labels = {"weights before", "weights after", "file", "resident"},
               .series = {{"",
                           kAfter,
                           {number(sums.before), number(sums.after), number(written.file_bytes),
                            number(sums.resident)}}}});
}

void add_techniques(const PressResult& pressed, std::ostream& out) {
  if (pressed.techniques.empty()) return;
  out << "<h2>Techniques, in the order in which they were applied</h2><table>\n";
  row({"technique", "bytes before", "bytes after", "saved", "perplexity before", "after", "loss"},
      "th", out);
  Plot plot{.title = "Perplexity lost by each technique", .in_percent = true};
  Series lost{"", kOther, {}};
  for (const TechniqueReport& each : pressed.techniques) {
    const double before = static_cast<double>(each.bytes_before);
    std::vector<std::string> cells = {
        each.name, std::to_string(each.bytes_before), std::to_string(each.bytes_after),
        fixed((1 - static_cast<double>(each.bytes_after) / before) * 100, 2) + " %"};
    const bool measured = each.perplexity_before && each.perplexity_after;
    plot.labels.push_back(each.name);
    if (measured) {
      cells.push_back(fixed(*each.perplexity_before, 4));
      cells.push_back(fixed(*each.perplexity_after, 4));
      cells.push_back(growth(*each.perplexity_before, *each.perplexity_after));
      lost.values.emplace_back(*each.perplexity_after / *each.perplexity_before - 1);
    } else {
      cells.insert(cells.end(), 3, "not measured");
      lost.values.emplace_back();
    }
    row(cells, "td", out);
  }
  out << "</table>\n";
  plot.series.push_back(std::move(lost));
  if (pressed.measured) out << bars(plot);
}

std::vector<std::string> layer_labels(std::size_t count) {
  std::vector<std::string> labels;
  for (std::size_t i = 0; i < count; ++i) labels.push_back(std::to_string(i));
  return labels;
}

void add_layers(const PressResult& pressed, std::ostream& out) {
  if (pressed.pruned.empty() && !pressed.sparsity) return;
  out << "<h2>Layer by layer</h2>\n";
  if (!pressed.pruned.empty()) {
    Plot plot{.title = "Neurons", .labels = layer_labels(pressed.pruned.size())};
    plot.series = {{"before", kBefore, {}}, {"after", kAfter, {}}};
    for (const PrunedLayer& layer : pressed.pruned) {
      plot.series[0].values.emplace_back(layer.neurons_before);
      plot.series[1].values.emplace_back(layer.neurons);
    }
    out << bars(plot);
  }
  if (!pressed.sparsity) return;
  const std::vector<LayerSparsity>& layers = pressed.sparsity->layers;
  Plot zeros{.title = "Silent neurons", .labels = layer_labels(layers.size()), .in_percent = true};
  zeros.series = {{"before", kBefore, {}}, {"after", kAfter, {}}};
  Plot blocks{.title = "Blocks of 4 KiB of value rows touched a token", .labels = zeros.labels};
  blocks.series = zeros.series;
  Plot quality{.title = "Predictor " + pressed.sparsity->predictor,
               .labels = zeros.labels,
               .in_percent = true};
  quality.series = {{"recall", kAfter, {}}, {"precision", kOther, {}}};
  for (const LayerSparsity& layer : layers) {
    zeros.series[0].values.emplace_back(layer.zero_rate_before);
    zeros.series[1].values.emplace_back(layer.zero_rate);
    blocks.series[0].values.emplace_back(layer.blocks_touched_before);
    blocks.series[1].values.emplace_back(layer.blocks_touched);
    quality.series[0].values.emplace_back(layer.all.recall);
    quality.series[1].values.emplace_back(layer.all.precision);
  }
  out << bars(zeros) << bars(blocks);
  if (!pressed.sparsity->predictor.empty()) out << bars(quality);
}

double bits_of(const TensorReport& tensor) {
  return 8.0 * static_cast<double>(tensor.bytes_after) / static_cast<double>(tensor.weights);
}

void add_tensor_plots(const PressResult& pressed, std::ostream& out) {
  out << "<h2>Tensor by tensor, in the artifact's order</h2>\n";
  const auto plot = [&](Plot what, const auto& value_of) {
    Series series{"", kAfter, {}};
    bool any = false;
    for (const TensorReport& tensor : pressed.tensors) {
      if (tensor.format == Format::kF32 && tensor.relative_error == 0 && !tensor.alpha) continue;
      what.labels.push_back(tensor.name);
      series.values.push_back(value_of(tensor));
      any = any || (series.values.back() && *series.values.back() > 0);
    }
    what.series.push_back(std::move(series));
    if (any) out << dots(what);
  };
  using Value = std::optional<double>;
  plot({.title = "Bits a weight"},
       [](const TensorReport& tensor) { return Value(bits_of(tensor)); });
  plot({.title = "Relative error of the weights", .log_scale = true},
       [](const TensorReport& tensor) { return Value(tensor.relative_error); });
  plot({.title = "Relative error of the outputs, on the calibration text", .log_scale = true},
       [](const TensorReport& tensor) { return tensor.output_error; });
  plot({.title = "Alpha: nats a token for each unit of squared output error", .log_scale = true},
       [](const TensorReport& tensor) { return tensor.alpha; });
}

void add_tensor_table(const PressResult& pressed, std::ostream& out) {
  const auto text_of = [](const std::optional<double>& value) {
    return value ? short_number(*value) : std::string("–");
  };
  out << "<table>\n";
  row({"tensor", "format", "weights", "bytes before", "bytes", "bits", "error", "output error",
       "alpha", "predicted nats"},
      "th", out);
  for (const TensorReport& tensor : pressed.tensors) {
    row({tensor.name, std::string(name_of(tensor.format)), std::to_string(tensor.weights),
         std::to_string(tensor.bytes_before), std::to_string(tensor.bytes_after),
         fixed(bits_of(tensor), 2), short_number(tensor.relative_error),
         text_of(tensor.output_error), text_of(tensor.alpha), text_of(tensor.predicted_loss)},
        "td", out);
  }
  out << "</table>\n";
}

}  // namespace

std::string report_page(const PressResult& pressed, const Written& written) {
  std::ostringstream out;
  out << kHead;
  add_overview(pressed, written, out);
  add_techniques(pressed, out);
  add_layers(pressed, out);
  add_tensor_plots(pressed, out);
  add_tensor_table(pressed, out);
  out << "</body></html>\n";
  return out.str();
}

std::string page_path(std::string_view report_path) {
  constexpr std::string_view kEnding = ".json";
  if (report_path.ends_with(kEnding)) report_path.remove_suffix(kEnding.size());
  return std::string(report_path) + ".html";
}

}  // namespace skein
