// What each route of the admin API does. Routing and authorization: admin_api.cpp.
#include <algorithm>
#include <charconv>

#include "coordinator/app/internal/admin_api.h"
#include "coordinator/app/internal/admin_json.h"

namespace skein {

namespace json = boost::json;
using admin::json_of;
using Answer = Result<HttpResponse>;

namespace {

constexpr std::uint32_t kTokenSeconds = 24 * 3600;
constexpr std::size_t kMinDigestPrefix = 6;

HttpResponse made(const json::object& object) {
  return json_response(201, json::serialize(object));
}
HttpResponse shown(const json::object& object) {
  return json_response(200, json::serialize(object));
}

template <class Id>
Result<Id> id_of(std::string_view text, std::string_view thing) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) {
    return fail(Errc::kNotFound,
                "there is no " + std::string(thing) + " \"" + std::string(text) + "\"");
  }
  return Id{number};
}

Result<const RolloutMachine*> rollout_of(const Rooms& rooms, std::string_view text) {
  TRY(const RolloutId id, id_of<RolloutId>(text, "rollout"));
  const RolloutMachine* machine = rooms.rollouts.find(id);
  if (machine == nullptr) return fail(Errc::kNotFound, "there is no rollout " + std::string(text));
  return machine;
}

json::object with_steps(const RolloutMachine& machine) {
  json::object object = json_of(machine);
  object["steps"] = admin::devices_json_of(machine);
  return object;
}

// What the fleet runs or is on its way to: the base of a round that names none.
std::optional<Digest> fleet_artifact(const Rooms& rooms) {
  std::optional<Digest> newest;
  for (const RolloutMachine* machine : rooms.rollouts.live()) {
    if (machine->admits()) newest = machine->row().artifact;
  }
  return newest;
}

}  // namespace

Task<Answer> AdminApi::make_token(HttpRequest request, Parts) {
  CO_TRY(const json::object body, admin::parse_object(request.body));
  CO_TRY(const auto seconds, admin::count_field(body, "ttl_seconds"));
  CO_TRY(const auto token,
         rooms_.devices.make_token(std::chrono::seconds(seconds.value_or(kTokenSeconds))));
  co_return made({{"token", token.text}, {"expires", token.expires}});
}

Task<Answer> AdminApi::list_devices(HttpRequest, Parts) {
  json::array list;
  for (const auto& [id, device] : rooms_.devices.devices()) list.push_back(json_of(rooms_, device));
  co_return shown({{"devices", std::move(list)}});
}

Task<Answer> AdminApi::show_device(HttpRequest, Parts parts) {
  CO_TRY(const DeviceId id, id_of<DeviceId>(parts[0], "device"));
  const DeviceRow* device = rooms_.devices.find(id);
  if (device == nullptr) co_return fail(Errc::kNotFound, "there is no device " + parts[0]);
  co_return shown(json_of(rooms_, *device));
}

Task<Answer> AdminApi::operate_device(HttpRequest request, Parts parts) {
  CO_TRY(const DeviceId id, id_of<DeviceId>(parts[0], "device"));
  if (parts[1] == "cordon") {
    CO_TRY_VOID(cordon_device(id, request.body));
  } else if (parts[1] == "revoke") {
    CO_TRY_VOID(rooms_.devices.revoke(id));
    rooms_.split.forget(id);
    CO_TRY_VOID(rooms_.rollouts.device_left(id, "revoked: by the operator"));
  } else if (parts[1] == "label") {
    CO_TRY_VOID(label_device(id, request.body));
  } else {
    co_return fail(Errc::kNotFound, "a device has no verb \"" + parts[1] + "\"", {},
                   "cordon, revoke or label");
  }
  co_return co_await show_device({}, std::move(parts));
}

Result<void> AdminApi::cordon_device(DeviceId id, const std::string& body) {
  TRY(const json::object object, admin::parse_object(body));
  TRY(const auto wanted, admin::flag_field(object, "cordoned"));
  const bool cordoned = wanted.value_or(true);
  TRY_VOID(rooms_.devices.cordon(id, cordoned));
  if (!cordoned) return {};  // it joins again at its next heartbeat
  return rooms_.rollouts.device_left(id, "cordoned: by the operator");
}

Result<void> AdminApi::label_device(DeviceId id, const std::string& body) {
  TRY(const json::object object, admin::parse_object(body));
  Labels labels;
  for (const auto& [key, value] : object) {
    if (!value.is_string() && !value.is_null())
      return fail(Errc::kUsage, "a label's value must be a text", std::string(key));
    labels[std::string(key)] = value.is_null() ? "" : std::string(value.get_string());
  }
  return rooms_.devices.set_labels(id, labels);
}

Task<Answer> AdminApi::list_artifacts(HttpRequest, Parts) {
  json::array list;
  for (const auto& [digest, artifact] : rooms_.artifacts.artifacts())
    list.push_back(json_of(artifact));
  co_return shown({{"artifacts", std::move(list)}});
}

Task<Answer> AdminApi::publish_artifact(HttpRequest request, Parts) {
  CO_TRY(const ArtifactRow row, co_await rooms_.artifacts.import_upload(std::move(request.body)));
  co_return made(json_of(row));
}

// An artifact larger than one request: begun with its size, sent in parts at their offsets, then
// "finish".
Task<Answer> AdminApi::begin_upload(HttpRequest request, Parts) {
  CO_TRY(const json::object body, admin::parse_object(request.body));
  const json::value* bytes = body.if_contains("bytes");
  if (bytes == nullptr || !bytes->is_int64() || bytes->get_int64() <= 0)
    co_return fail(Errc::kUsage, "\"bytes\" must be the file's size", "the request's body");
  const auto size = static_cast<std::uint64_t>(bytes->get_int64());
  CO_TRY(const std::uint64_t id, co_await rooms_.inbox.begin(size));
  co_return made({{"upload", id}, {"part_bytes", kUploadPartBytes}});
}

Task<Answer> AdminApi::continue_upload(HttpRequest request, Parts parts) {
  CO_TRY(const auto id, id_of<std::uint64_t>(parts[0], "upload"));
  if (parts[1] != "finish") {
    CO_TRY(const auto offset, id_of<std::uint64_t>(parts[1], "offset"));
    CO_TRY(const std::uint64_t have,
           co_await rooms_.inbox.append(id, offset, std::move(request.body)));
    co_return shown({{"upload", id}, {"have_bytes", have}});
  }
  CO_TRY(const std::string path, co_await rooms_.inbox.complete(id));
  auto imported = co_await rooms_.artifacts.import_file(path);
  CO_TRY_VOID(co_await rooms_.inbox.remove(id));
  if (!imported) {
    imported.error().where = "the upload";
    co_return tl::unexpected(imported.error());
  }
  co_return made(json_of(*imported));
}

Task<Answer> AdminApi::show_artifact(HttpRequest, Parts parts) {
  CO_TRY(const Digest digest, find_artifact(parts[0]));
  CO_TRY(const Manifest manifest, co_await rooms_.artifacts.manifest(digest));
  json::object object = json_of(*rooms_.artifacts.find(digest));
  object["model"] = json_of(manifest);
  co_return shown(object);
}

Result<Digest> AdminApi::find_artifact(std::string_view text) const {
  std::optional<Digest> found;
  for (const auto& [digest, artifact] : rooms_.artifacts.artifacts()) {
    if (text.size() < kMinDigestPrefix || !digest.hex().starts_with(text)) continue;
    if (found) {
      return fail(Errc::kUsage, "more than one artifact begins with \"" + std::string(text) + "\"");
    }
    found = digest;
  }
  if (found) return *found;
  return fail(Errc::kNotFound, "there is no artifact \"" + std::string(text) + "\"", {},
              "`skein model ls` lists them; give at least six digits of the digest");
}

Task<Answer> AdminApi::list_rollouts(HttpRequest, Parts) {
  json::array list;
  for (const RolloutMachine* machine : rooms_.rollouts.live()) list.push_back(json_of(*machine));
  co_return shown({{"rollouts", std::move(list)}});
}

Task<Answer> AdminApi::create_rollout(HttpRequest request, Parts) {
  CO_TRY(const json::object body, admin::parse_object(request.body));
  CO_TRY(const auto text, admin::text_field(body, "artifact"));
  if (!text) co_return fail(Errc::kUsage, "\"artifact\" is missing", "the request's body");
  CO_TRY(const auto start, admin::flag_field(body, "start"));
  CO_TRY(const Digest artifact, find_artifact(*text));
  CO_TRY(const RolloutId id, rooms_.rollouts.create(artifact));
  if (start.value_or(false)) {
    CO_TRY_VOID(rooms_.rollouts.operate(id, RolloutVerb::kStart, fleet_of(rooms_.devices)));
  }
  co_return made(with_steps(*rooms_.rollouts.find(id)));
}

Task<Answer> AdminApi::show_rollout(HttpRequest, Parts parts) {
  CO_TRY(const RolloutMachine* machine, rollout_of(rooms_, parts[0]));
  co_return shown(with_steps(*machine));
}

Task<Answer> AdminApi::operate_rollout(HttpRequest, Parts parts) {
  CO_TRY(const RolloutMachine* machine, rollout_of(rooms_, parts[0]));
  const auto verb = parse_rollout_verb(parts[1]);
  if (!verb) {
    co_return fail(Errc::kNotFound, "a rollout has no verb \"" + parts[1] + "\"", {},
                   "start, pause, resume, abort, retry or rollback");
  }
  CO_TRY_VOID(rooms_.rollouts.operate(machine->row().id, *verb, fleet_of(rooms_.devices)));
  co_return shown(with_steps(*machine));
}

Task<Answer> AdminApi::list_rounds(HttpRequest, Parts) {
  json::array list;
  for (const RoundStatus& round : rooms_.rounds.rounds()) list.push_back(json_of(round));
  co_return shown({{"rounds", std::move(list)}});
}

Task<Answer> AdminApi::open_round(HttpRequest request, Parts) {
  CO_TRY(const json::object body, admin::parse_object(request.body));
  CO_TRY(RoundPlan plan, plan_of(body));
  CO_TRY(const RoundId id, co_await rooms_.rounds.open_round(std::move(plan)));
  const auto status = rooms_.rounds.round(id);
  if (!status) co_return fail(Errc::kNotFound, "the round is gone");
  co_return made(json_of(*status));
}

Result<RoundPlan> AdminApi::plan_of(const json::object& body) const {
  RoundPlan plan;
  TRY(const auto artifact, admin::text_field(body, "artifact"));
  if (artifact) {
    TRY(plan.offer.artifact, find_artifact(*artifact));
  } else if (const auto current = fleet_artifact(rooms_)) {
    plan.offer.artifact = *current;
  } else {
    return fail(Errc::kUsage, "the fleet has no artifact to train from", {},
                "roll one out, or name one in \"artifact\"");
  }
  TRY(const auto rate, admin::number_field(body, "learning_rate"));
  TRY(const auto clip, admin::number_field(body, "clip"));
  TRY(const auto norm, admin::number_field(body, "max_update_norm"));
  plan.offer.learning_rate = static_cast<float>(rate.value_or(1.0));
  plan.offer.clip = static_cast<float>(clip.value_or(plan.offer.clip));
  plan.max_update_norm = norm.value_or(plan.max_update_norm);
  const std::pair<const char*, std::uint32_t*> counts[] = {{"epochs", &plan.offer.epochs},
                                                           {"context", &plan.offer.context},
                                                           {"max_tokens", &plan.offer.max_tokens},
                                                           {"quorum", &plan.quorum},
                                                           {"invite", &plan.invite},
                                                           {"seconds", &plan.seconds}};
  for (const auto& [name, into] : counts) {
    TRY(const auto value, admin::count_field(body, name));
    if (value) *into = *value;
  }
  if (!body.contains("invite")) plan.invite = std::max(plan.invite, plan.quorum);
  return plan;
}

Task<Answer> AdminApi::show_round(HttpRequest, Parts parts) {
  CO_TRY(const RoundId id, id_of<RoundId>(parts[0], "round"));
  const auto status = rooms_.rounds.round(id);
  if (!status) co_return fail(Errc::kNotFound, "there is no round " + parts[0]);
  co_return shown(json_of(*status));
}

Task<Answer> AdminApi::list_sessions(HttpRequest, Parts) {
  json::array list;
  for (const auto& session : rooms_.split.sessions()) list.push_back(json_of(session));
  co_return shown({{"sessions", std::move(list)}});
}

}  // namespace skein
