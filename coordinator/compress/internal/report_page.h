// The report of a compression as a page for people: one self-contained HTML file, its plots inline
// SVG, nothing fetched and nothing run. Pure; any thread.
#pragma once

#include <string>

#include "coordinator/compress/internal/press_report.h"

namespace skein {

// Every name in it is escaped.
std::string report_page(const PressResult& pressed, const Written& written);

// "costs.json" -> "costs.html", "costs" -> "costs.html".
std::string page_path(std::string_view report_path);

}  // namespace skein
