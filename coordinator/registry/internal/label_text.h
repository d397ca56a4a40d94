// Labels as the JSON text of one column, and back. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"
#include "coordinator/registry/rows.h"

namespace skein::registry {

using ReportedLabels = std::vector<std::pair<std::string, std::string>>;  // order is kept

std::string to_text(const Labels& labels);          // {"site":"lab"}
std::string to_text(const ReportedLabels& labels);  // [["site","lab"]]
Result<Labels> labels_of(std::string_view text);    // Errc::kCorrupt
Result<ReportedLabels> reported_labels_of(std::string_view text);

}  // namespace skein::registry
