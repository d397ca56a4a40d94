#include "coordinator/app/commands.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <ostream>

#include "common/env/disk.h"
#include "coordinator/app/internal/admin_client.h"
#include "coordinator/app/internal/tables.h"

namespace skein {

namespace {

namespace json = boost::json;

constexpr std::chrono::seconds kWatchInterval{1};
constexpr std::size_t kPartBytes = 4U << 20;

enum class View : std::uint8_t { kList, kThing, kToken };

// What one command does: a call, and how its answer is shown. Filled while the command line is
// read; shared by the options and the command that runs.
struct FleetCommand {
  admin::Access access;
  std::string output = "table";
  std::string method = "GET";
  std::string path;
  json::object body;
  View view = View::kThing;
  std::string list;                  // kList: the field that holds the rows
  std::vector<std::string> columns;  // kList
  bool watch = false;
  // Arguments of the commands.
  std::string id, artifact, file;
  std::vector<std::string> labels;
  std::optional<std::uint32_t> seconds;
  std::map<std::string, std::uint32_t> counts;
  std::map<std::string, double> numbers;
  bool off = false, start = false;
};
using Shared = std::shared_ptr<FleetCommand>;

void print(const FleetCommand& command, const json::object& answer, Terminal& terminal) {
  if (command.output == "json") {
    terminal.out << json::serialize(answer) << "\n";
  } else if (command.view == View::kList) {
    const json::value* rows = answer.if_contains(command.list);
    const bool there = rows != nullptr && rows->is_array();
    terminal.out << admin::table_of(there ? rows->get_array() : json::array(), command.columns);
  } else if (command.view == View::kToken) {
    terminal.out << answer.at("token").as_string().c_str() << "\n";
  } else {
    terminal.out << admin::lines_of(answer);
  }
}

std::string text_at(const json::object& object, const char* field) {
  const json::value* value = object.if_contains(field);
  return value == nullptr ? "" : admin::cell_of(field, *value);
}

// A rollout or a round has come to its end, and whether it is the good one.
bool ended(const std::string& state) {
  return state == "finished" || state == "aborted" || state == "rolled_back" ||
         state == "published" || state == "failed";
}

Result<void> judge(const json::object& thing) {
  const std::string state = text_at(thing, "state");
  const json::value* counts = thing.if_contains("counts");
  const json::value* failed = counts != nullptr && counts->is_object()
                                  ? counts->get_object().if_contains("failed")
                                  : nullptr;
  const bool some_failed = failed != nullptr && failed->is_number() && failed->to_number<int>() > 0;
  if ((state == "finished" && !some_failed) || state == "published") return {};
  return fail(Errc::kFalse, "it ended " + state + (some_failed ? " with failed devices" : ""),
              "id " + text_at(thing, "id"), text_at(thing, "reason"));
}

Task<Result<json::object>> watched(Env env, Terminal& terminal, admin::AdminClient& client,
                                   std::string path, json::object answer) {
  std::string shown;
  while (!ended(text_at(answer, "state"))) {
    const std::string line = text_at(answer, "state") + "  " + text_at(answer, "counts");
    if (line != shown) terminal.err << line << std::endl;
    shown = line;
    co_await env.clock.sleep_for(kWatchInterval);
    CO_TRY(answer, co_await client.call("GET", path, ""));
  }
  co_return answer;
}

// "rollouts" with no number: the newest one's path.
Task<Result<std::string>> newest(admin::AdminClient& client, std::string things) {
  CO_TRY(const json::object answer, co_await client.call("GET", things, ""));
  const json::value* list = answer.if_contains(things);
  if (list == nullptr || !list->is_array() || list->get_array().empty())
    co_return fail(Errc::kNotFound, "there are no " + things + " yet");
  co_return things + "/" + text_at(list->get_array().back().as_object(), "id");
}

Task<Result<void>> run(Env env, Terminal& terminal, Shared command) {
  CO_TRY(admin::AdminClient client, co_await admin::AdminClient::open(env, command->access));
  std::string path = command->path;
  if (path.ends_with("/")) {
    path.pop_back();
    CO_TRY(path, co_await newest(client, path));
  }
  std::string body = command->method == "POST" ? json::serialize(command->body) : "";
  CO_TRY(json::object answer, co_await client.call(command->method, path, std::move(body)));
  if (!command->watch) {
    print(*command, answer, terminal);
    co_return Result<void>{};
  }
  const std::string things = path.substr(0, path.find('/'));
  const std::string thing = things + "/" + text_at(answer, "id");
  Task<Result<json::object>> watching = watched(env, terminal, client, thing, std::move(answer));
  CO_TRY(const json::object last, co_await std::move(watching));
  print(*command, last, terminal);
  co_return judge(last);
}

// The file in parts: no request grows with the model.
Task<Result<void>> publish(Env env, Terminal& terminal, Shared command) {
  CO_TRY(admin::AdminClient client, co_await admin::AdminClient::open(env, command->access));
  CO_TRY(const auto file, co_await env.disk.open(command->file, OpenMode::kRead));
  const std::uint64_t size = file->size();
  const std::string announced = json::serialize(json::object{{"bytes", size}});
  CO_TRY(const json::object begun, co_await client.call("POST", "uploads", announced));
  const std::string upload = "uploads/" + text_at(begun, "upload") + "/";
  std::string part;
  for (std::uint64_t offset = 0; offset < size; offset += part.size()) {
    part.resize(std::min<std::uint64_t>(kPartBytes, size - offset));
    CO_TRY_VOID(co_await file->read_at(offset, std::as_writable_bytes(std::span(part))));
    CO_TRY_VOID(co_await client.call("POST", upload + std::to_string(offset), part));
    if (terminal.err_is_terminal)
      terminal.err << "\r" << (offset + part.size()) * 100 / size << " %" << std::flush;
  }
  if (terminal.err_is_terminal) terminal.err << "\r     \r" << std::flush;
  CO_TRY(const json::object answer, co_await client.call("POST", upload + "finish", ""));
  print(*command, answer, terminal);
  co_return Result<void>{};
}

// Hangs commands below one group ("device"): each its own FleetCommand.
class Group {
 public:
  Group(CLI::App& tool, Command& chosen, const char* name, const char* about)
      : group_(tool.add_subcommand(name, about)), chosen_(chosen) {
    group_->require_subcommand(1);
  }

  // `prepare` runs when the command line chose this command, with its arguments read.
  template <class Prepare>
  std::pair<CLI::App*, Shared> add(const char* name, const char* about, Prepare prepare) {
    CLI::App* app = group_->add_subcommand(name, about);
    auto command = std::make_shared<FleetCommand>();
    app->add_option("--coordinator", command->access.coordinator, "URL of the admin port")
        ->envname("SKEIN_COORDINATOR")
        ->capture_default_str();
    app->add_option("--token-file", command->access.token_file, "file with the admin token")
        ->envname("SKEIN_TOKEN_FILE");
    app->add_option("-o,--output", command->output, "table or json")
        ->check(CLI::IsMember({"table", "json"}))
        ->capture_default_str();
    app->callback([command, prepare, &chosen = chosen_] {
      prepare(*command);
      const auto how = command->file.empty() ? run : publish;
      chosen.run = [command, how](Env env, Terminal& terminal) {
        return how(env, terminal, command);
      };
    });
    return {app, command};
  }

  void add_list(const char* things, std::vector<std::string> columns, const char* about) {
    add("ls", about, [things, columns](FleetCommand& command) {
      command.path = command.list = things;
      command.columns = columns;
      command.view = View::kList;
    });
  }

  void add_show(const char* name, const char* things, const char* argument, const char* about) {
    const auto [app, command] = add(name, about, [things](FleetCommand& chosen_command) {
      chosen_command.path = std::string(things) + "/" + chosen_command.id;
    });
    app->add_option("id", command->id, argument)->required();
  }

  // POST things/ID/verb.
  std::pair<CLI::App*, Shared> add_verb(const char* things, const char* verb, const char* about,
                                        void (*body)(FleetCommand&) = nullptr) {
    const auto made = add(verb, about, [things, verb, body](FleetCommand& command) {
      command.method = "POST";
      command.path = std::string(things) + "/" + command.id + "/" + verb;
      if (body != nullptr) body(command);
    });
    made.first->add_option("id", made.second->id, "its number")->required();
    return made;
  }

 private:
  CLI::App* group_;
  Command& chosen_;
};

void label_body(FleetCommand& command) {
  for (const std::string& label : command.labels) {
    const std::size_t equals = label.find('=');
    if (equals == std::string::npos || equals == 0)
      throw CLI::ValidationError("label", "\"" + label + "\" is not written KEY=VALUE");
    command.body[label.substr(0, equals)] = label.substr(equals + 1);
  }
}

void add_device_commands(CLI::App& tool, Command& chosen) {
  Group group(tool, chosen, "device", "the devices of a coordinator's fleet");
  group.add_list("devices", {"id", "name", "state", "online", "active", "isa", "last_seen"},
                 "list them");
  group.add_show("show", "devices", "the device's number", "everything known about one");
  const auto [token, command] =
      group.add("token", "make a one-time token for enrolling a device", [](FleetCommand& made) {
        made.method = "POST";
        made.path = "tokens";
        made.view = View::kToken;
        if (made.seconds) made.body["ttl_seconds"] = *made.seconds;
      });
  token->add_option("--ttl", command->seconds, "seconds it may be used for (default: a day)");
  const auto [cordon, cordoned] =
      group.add_verb("devices", "cordon", "give a device no new work",
                     [](FleetCommand& made) { made.body["cordoned"] = !made.off; });
  cordon->add_flag("--off", cordoned->off, "let it have work again");
  group.add_verb("devices", "revoke", "refuse a device's certificate for good");
  const auto [label, labelled] =
      group.add_verb("devices", "label", "set labels; KEY= removes one", label_body);
  label->add_option("labels", labelled->labels, "KEY=VALUE ...")->required();
}

void add_artifact_commands(CLI::App& tool, Command& chosen) {
  Group group(tool, chosen, "model", "the artifacts a coordinator can roll out");
  group.add_list("artifacts", {"digest", "name", "version", "bytes", "pages", "imported"},
                 "list them");
  group.add_show("show", "artifacts", "the digest, or its first digits", "what one holds");
  const auto [publish, command] =
      group.add("publish", "register an artifact", [](FleetCommand&) {});
  publish->add_option("file", command->file, "a .skein file")->required();
}

void add_rollout_commands(CLI::App& tool, Command& chosen) {
  Group group(tool, chosen, "rollout", "moving the fleet to an artifact");
  group.add_list("rollouts", {"id", "artifact", "state", "devices", "counts", "changed"},
                 "list them");
  const auto [create, command] =
      group.add("create", "make a rollout of an artifact", [](FleetCommand& made) {
        made.method = "POST";
        made.path = "rollouts";
        made.body["artifact"] = made.artifact;
        made.body["start"] = made.start;
        if (made.watch && !made.start)
          throw CLI::ValidationError("--watch", "there is nothing to watch without --start");
      });
  create->add_option("artifact", command->artifact, "its digest, or the first digits")->required();
  create->add_flag("--start", command->start, "and start it");
  create->add_flag("--watch", command->watch, "wait until it has ended");
  const std::pair<const char*, const char*> verbs[] = {
      {"start", "begin to offer it"},
      {"pause", "offer nothing for now"},
      {"resume", "go on"},
      {"abort", "offer nothing any more"},
      {"retry", "try failed devices again"},
      {"rollback", "return every device to what it ran"}};
  for (const auto& [verb, about] : verbs) group.add_verb("rollouts", verb, about);
  const auto [status, shown] =
      group.add("status", "how far one has come (default: the newest)",
                [](FleetCommand& made) { made.path = "rollouts/" + made.id; });
  status->add_option("id", shown->id, "its number");
  status->add_flag("--watch", shown->watch, "wait until it has ended; exit 1 unless all committed");
}

void add_round_commands(CLI::App& tool, Command& chosen) {
  Group group(tool, chosen, "round", "federated rounds");
  group.add_list("rounds",
                 {"id", "state", "artifact", "counted", "quorum", "loss_before", "loss_after"},
                 "list them");
  const auto [start, command] = group.add("start", "open a round", [](FleetCommand& made) {
    made.method = "POST";
    made.path = "rounds";
    if (!made.artifact.empty()) made.body["artifact"] = made.artifact;
    for (const auto& [name, value] : made.counts) made.body[name] = value;
    for (const auto& [name, value] : made.numbers) made.body[name] = value;
  });
  start->add_option("--artifact", command->artifact, "the base (default: the fleet's artifact)");
  const std::pair<const char*, const char*> counts[] = {
      {"quorum", "updates that close the round"}, {"invite", "devices asked"},
      {"seconds", "until the deadline"},          {"epochs", "passes over the local text"},
      {"context", "tokens per window"},           {"max-tokens", "of the local text; 0 = all"}};
  const std::pair<const char*, const char*> numbers[] = {
      {"learning-rate", "of the state tuning"},
      {"clip", "global norm of the gradient"},
      {"max-update-norm", "longer updates are rejected"}};
  const auto field_of = [](std::string name) {
    std::ranges::replace(name, '-', '_');
    return name;
  };
  for (const auto& [name, about] : counts) {
    start->add_option_function<std::uint32_t>(
        "--" + std::string(name),
        [command, field = field_of(name)](std::uint32_t v) { command->counts[field] = v; }, about);
  }
  for (const auto& [name, about] : numbers) {
    start->add_option_function<double>(
        "--" + std::string(name),
        [command, field = field_of(name)](double v) { command->numbers[field] = v; }, about);
  }
  start->add_flag("--watch", command->watch, "wait until it has ended");
  const auto [status, shown] =
      group.add("status", "how far one has come (default: the newest)",
                [](FleetCommand& made) { made.path = "rounds/" + made.id; });
  status->add_option("id", shown->id, "its number");
  status->add_flag("--watch", shown->watch, "wait until it has ended; exit 1 unless published");
}

}  // namespace

void add_coordinator_commands(CLI::App& tool, Command& chosen) {
  add_device_commands(tool, chosen);
  add_artifact_commands(tool, chosen);
  add_rollout_commands(tool, chosen);
  add_round_commands(tool, chosen);
  Group sessions(tool, chosen, "session", "split sessions the coordinator computes for");
  sessions.add_list(
      "sessions",
      {"session", "device", "artifact", "mode", "first_layer", "end_layer", "step", "idle_seconds"},
      "list them");
}

}  // namespace skein
