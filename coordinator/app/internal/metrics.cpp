#include "coordinator/app/internal/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>

namespace skein {

namespace {

constexpr std::int64_t kMissedHeartbeats = 3;

class Collected {
 public:
  void counter(const std::string& name, const std::string& help, std::uint64_t value) {
    prometheus::ClientMetric metric;
    metric.counter.value = static_cast<double>(value);
    family(name, help, prometheus::MetricType::Counter).metric.push_back(std::move(metric));
  }
  void gauge(const std::string& name, const std::string& help, std::uint64_t value) {
    prometheus::ClientMetric metric;
    metric.gauge.value = static_cast<double>(value);
    family(name, help, prometheus::MetricType::Gauge).metric.push_back(std::move(metric));
  }
  void gauge(const std::string& name, const std::string& help, const std::string& label,
             std::string_view value_of_label, std::uint64_t value) {
    prometheus::ClientMetric metric;
    metric.label.push_back({label, std::string(value_of_label)});
    metric.gauge.value = static_cast<double>(value);
    family(name, help, prometheus::MetricType::Gauge).metric.push_back(std::move(metric));
  }
  std::string text() const { return prometheus::TextSerializer().Serialize(families_); }

 private:
  prometheus::MetricFamily& family(const std::string& name, const std::string& help,
                                   prometheus::MetricType type) {
    if (families_.empty() || families_.back().name != name)
      families_.push_back({name, help, type, {}});
    return families_.back();
  }
  std::vector<prometheus::MetricFamily> families_;
};

void collect_fleet(const Rooms& rooms, Collected& out) {
  const auto& devices = rooms.devices.devices();
  for (const DeviceState state :
       {DeviceState::kActive, DeviceState::kCordoned, DeviceState::kRevoked}) {
    const auto in_state = [&](const auto& entry) { return entry.second.state == state; };
    out.gauge("skein_devices", "Enrolled devices by state", "state", name_of(state),
              static_cast<std::uint64_t>(std::ranges::count_if(devices, in_state)));
  }
  const auto online = [&](const auto& entry) { return is_online(rooms, entry.second); };
  out.gauge("skein_devices_online", "Devices heard within their last heartbeats",
            static_cast<std::uint64_t>(std::ranges::count_if(devices, online)));
  out.gauge("skein_artifacts", "Registered artifacts", rooms.artifacts.artifacts().size());
  const auto live = rooms.rollouts.live();
  const RolloutMachine* shown = rooms.rollouts.active();
  if (shown == nullptr && !live.empty()) shown = live.back();
  for (std::uint8_t number = 1; number <= 8; ++number) {
    const auto step = static_cast<DeviceStep>(number);
    out.gauge("skein_rollout_devices", "Devices by step of the active or latest rollout", "step",
              name_of(step), shown == nullptr ? 0 : shown->counts()[number]);
  }
}

void collect_rounds(const Rooms& rooms, Collected& out) {
  const auto rounds = rooms.rounds.rounds();
  for (std::uint8_t number = 1; number <= 8; ++number) {
    const auto phase = static_cast<RoundPhase>(number);
    const auto in_phase = [&](const RoundStatus& round) { return round.record.phase == phase; };
    out.gauge("skein_rounds", "Federated rounds by state", "state", name_of(phase),
              static_cast<std::uint64_t>(std::ranges::count_if(rounds, in_phase)));
  }
}

}  // namespace

bool is_online(const Rooms& rooms, const DeviceRow& device) {
  const std::int64_t silence =
      rooms.env.clock.wall_now().time_since_epoch().count() - device.last_seen;
  const std::int64_t interval = rooms.config.heartbeat_ms / 1000 + 1;
  return device.state != DeviceState::kRevoked && silence <= kMissedHeartbeats * interval;
}

std::string metrics_text(const Rooms& rooms) {
  Collected out;
  collect_fleet(rooms, out);
  collect_rounds(rooms, out);
  const TrafficCounters& traffic = rooms.traffic;
  out.counter("skein_heartbeats_total", "Heartbeats answered", traffic.heartbeats);
  out.counter("skein_enrolments_total", "Devices enrolled", traffic.enrolments);
  out.counter("skein_refusals_total", "Device requests refused", traffic.refusals);
  out.counter("skein_manifests_sent_total", "Manifests sent", traffic.manifests_sent);
  out.counter("skein_pages_sent_total", "Pages sent", traffic.pages_sent);
  out.counter("skein_pages_sent_bytes_total", "Bytes of pages sent, as they went",
              traffic.page_bytes_sent);
  out.counter("skein_upload_bytes_total", "Bytes of updates received", traffic.upload_bytes);
  out.counter("skein_admin_requests_total", "Requests to the admin API", traffic.admin_requests);
  const SplitServer::Counters& split = rooms.split.counters();
  out.gauge("skein_split_sessions", "Split sessions held", rooms.split.sessions().size());
  out.counter("skein_split_steps_total", "Split steps computed", split.steps);
  out.counter("skein_split_tokens_total", "Tokens through split layers", split.tokens);
  out.counter("skein_split_repeats_total", "Split steps answered from storage", split.repeats);
  out.counter("skein_split_out_of_step_total", "Split steps refused", split.out_of_step);
  return out.text();
}

}  // namespace skein
