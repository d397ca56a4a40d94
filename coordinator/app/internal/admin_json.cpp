#include "coordinator/app/internal/admin_json.h"

#include "coordinator/app/internal/metrics.h"

namespace skein::admin {

namespace json = boost::json;

namespace {

json::value digest_or_null(const std::optional<Digest>& digest) {
  if (!digest) return nullptr;
  return json::value(digest->hex());
}

json::value number_or_null(const std::optional<double>& number) {
  if (!number) return nullptr;
  return json::value(*number);
}

json::string word(std::string_view text) { return json::string(text.data(), text.size()); }

tl::unexpected<Error> wrong(std::string_view name, std::string_view wanted) {
  return fail(Errc::kUsage, "\"" + std::string(name) + "\" must be " + std::string(wanted),
              "the request's body");
}

}  // namespace

json::object json_of(const Rooms& rooms, const DeviceRow& device) {
  json::object labels;
  for (const auto& [key, value] : device.inventory.labels) labels[key] = value;
  for (const auto& [key, value] : device.labels) labels[key] = value;
  return {{"id", device.id.value()},
          {"name", device.name},
          {"state", word(name_of(device.state))},
          {"online", is_online(rooms, device)},
          {"enrolled", device.enrolled},
          {"last_seen", device.last_seen},
          {"active", digest_or_null(device.active)},
          {"previous", digest_or_null(device.previous)},
          {"slot_generation", device.slot_generation},
          {"software", device.inventory.software_version},
          {"isa", device.inventory.isa},
          {"threads", device.inventory.threads},
          {"memory_bytes", device.inventory.memory_bytes},
          {"free_disk_bytes", device.inventory.free_disk_bytes},
          {"certificate_serial", std::to_string(device.serial)},
          {"labels", std::move(labels)}};
}

json::object json_of(const ArtifactRow& artifact) {
  return {{"digest", artifact.digest.hex()},
          {"name", artifact.name},
          {"version", artifact.version},
          {"architecture", artifact.architecture},
          {"bytes", artifact.bytes},
          {"pages", artifact.pages},
          {"parent", digest_or_null(artifact.parent)},
          {"imported", artifact.imported}};
}

json::object json_of(const RolloutMachine& machine) {
  json::object counts;
  for (std::uint8_t number = 1; number <= 8; ++number) {
    counts[word(name_of(static_cast<DeviceStep>(number)))] = machine.counts()[number];
  }
  const RolloutRow& row = machine.row();
  return {{"id", row.id.value()},
          {"artifact", row.artifact.hex()},
          {"state", word(name_of(row.state))},
          {"created", row.created},
          {"started", row.started},
          {"changed", row.changed},
          {"devices", machine.devices().size()},
          {"counts", std::move(counts)}};
}

json::array devices_json_of(const RolloutMachine& machine) {
  json::array steps;
  for (const auto& [id, device] : machine.devices()) {
    steps.push_back(json::object{{"device", id.value()},
                                 {"step", word(name_of(device.step))},
                                 {"reason", device.reason},
                                 {"baseline", digest_or_null(device.baseline)},
                                 {"attempt", device.attempt},
                                 {"bytes_fetched", device.bytes_fetched},
                                 {"pages_fetched", device.pages_fetched},
                                 {"changed", device.changed}});
  }
  return steps;
}

json::object json_of(const RoundStatus& round) {
  const RoundRecord& record = round.record;
  const RoundOffer& offer = record.plan.offer;
  return {{"id", record.round.value()},
          {"state", word(name_of(record.phase))},
          {"reason", record.reason},
          {"artifact", offer.artifact.hex()},
          {"result", digest_or_null(record.candidate)},
          {"opened", record.opened.time_since_epoch().count()},
          {"deadline", record.deadline.time_since_epoch().count()},
          {"quorum", record.plan.quorum},
          {"invite", record.plan.invite},
          {"participants", record.participants.size()},
          {"counted", round.counted},
          {"tokens", round.tokens},
          {"raw_bytes", round.raw_bytes},
          {"packed_bytes", round.packed_bytes},
          {"device_loss_before", round.device_loss_before},
          {"device_loss_after", round.device_loss_after},
          {"loss_before", number_or_null(record.base_loss)},
          {"loss_after", number_or_null(record.candidate_loss)}};
}

json::object json_of(const SplitServer::SessionFacts& session) {
  return {{"session", std::to_string(session.session.value())},
          {"device", session.device.value()},
          {"artifact", session.artifact.hex()},
          {"mode", session.first_layer == 0 ? "remote" : "split"},
          {"first_layer", session.first_layer},
          {"end_layer", session.end_layer},
          {"step", session.next.value()},
          {"idle_seconds",
           std::chrono::duration_cast<std::chrono::duration<double>>(session.idle).count()}};
}

json::object json_of(const Manifest& manifest) {
  const ModelConfig& config = manifest.config;
  json::array techniques;
  for (const std::string& technique : manifest.techniques) techniques.push_back(word(technique));
  return {{"layers", config.layers},  {"width", config.width},
          {"heads", config.heads},    {"head_size", config.head_size},
          {"vocab", config.vocab},    {"tensors", manifest.tensors.size()},
          {"techniques", techniques}, {"tokenizer", manifest.tokenizer.kind}};
}

Result<json::object> parse_object(const std::string& body) {
  if (body.empty()) return json::object();
  boost::system::error_code error;
  json::value value = json::parse(body, error);
  if (error || !value.is_object())
    return fail(Errc::kUsage, "the body is not a JSON object", "the request's body");
  return std::move(value.get_object());
}

Result<std::optional<std::string>> text_field(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (!value->is_string()) return wrong(name, "a text");
  const json::string& text = value->get_string();
  return std::string(text.data(), text.size());
}

Result<std::optional<double>> number_field(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (!value->is_number()) return wrong(name, "a number");
  return value->to_number<double>();
}

Result<std::optional<std::uint32_t>> count_field(const json::object& object,
                                                 std::string_view name) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr || value->is_null()) return std::nullopt;
  boost::system::error_code error;
  const auto number = value->to_number<std::uint32_t>(error);
  if (error) return wrong(name, "a whole number from 0 to 4294967295");
  return number;
}

Result<std::optional<bool>> flag_field(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (!value->is_bool()) return wrong(name, "true or false");
  return value->get_bool();
}

}  // namespace skein::admin
