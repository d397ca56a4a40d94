#include "edge_node/update/internal/journal.h"

#include <boost/json.hpp>

namespace skein {

namespace {

namespace json = boost::json;

json::object encode(const StepReport& report) {
  return {{"rollout", report.rollout.value()},     {"artifact", report.artifact.hex()},
          {"step", static_cast<int>(report.step)}, {"reason", report.reason},
          {"bytes", report.bytes_fetched},         {"pages", report.pages_fetched}};
}

// Throws what boost::json throws for a missing key or another kind of value.
StepReport decode_report(const json::value& value) {
  StepReport report;
  const auto number = [&](const char* key) { return value.at(key).to_number<std::uint64_t>(); };
  report.rollout = RolloutId(number("rollout"));
  const auto artifact = Digest::from_hex(std::string_view(value.at("artifact").as_string()));
  const std::uint64_t step = number("step");
  const bool final_step = step == static_cast<std::uint64_t>(DeviceStep::kCommitted) ||
                          step == static_cast<std::uint64_t>(DeviceStep::kFailed);
  if (!artifact || !final_step) throw std::out_of_range("report");
  report.artifact = *artifact;
  report.step = static_cast<DeviceStep>(step);
  report.reason = std::string(value.at("reason").as_string()).substr(0, kMaxText);
  report.bytes_fetched = number("bytes");
  report.pages_fetched = static_cast<std::uint32_t>(number("pages"));
  return report;
}

}  // namespace

std::string encode_journal(const UpdateJournal& journal) {
  json::array reports;
  for (const StepReport& report : journal.reports) reports.emplace_back(encode(report));
  json::array failures;
  for (const auto& [rollout, count] : journal.failures) {
    failures.emplace_back(json::object{{"rollout", rollout.value()}, {"count", count}});
  }
  const json::object whole{
      {"version", 1}, {"reports", std::move(reports)}, {"failures", std::move(failures)}};
  return json::serialize(whole) + "\n";
}

Result<UpdateJournal> decode_journal(std::string_view text) {
  try {
    const json::value whole = json::parse(text);
    UpdateJournal journal;
    for (const json::value& report : whole.at("reports").as_array()) {
      journal.reports.push_back(decode_report(report));
    }
    for (const json::value& failure : whole.at("failures").as_array()) {
      journal.failures.emplace_back(RolloutId(failure.at("rollout").to_number<std::uint64_t>()),
                                    failure.at("count").to_number<std::uint32_t>());
    }
    return journal;
  } catch (const std::exception& thrown) {
    return fail(Errc::kCorrupt, std::string("not an update journal: ") + thrown.what());
  }
}

}  // namespace skein
