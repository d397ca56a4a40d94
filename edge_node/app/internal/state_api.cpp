#include "edge_node/app/internal/state_api.h"

#include <boost/json.hpp>

namespace skein {

namespace {

namespace json = boost::json;

constexpr std::string_view kRoot = "/v1/state";
constexpr std::string_view kBranch = "/branch";
constexpr Duration kSumCost = std::chrono::milliseconds(20);  // of a state's checksum

HttpResponse refusal(const Error& error) {
  const bool asked_wrong = error.code != Errc::kOutOfRoom && error.code != Errc::kUnavailable;
  return error_response(http_status(error.code), to_string(error),
                        asked_wrong ? "invalid_request_error" : "server_error");
}

HttpResponse absent(const std::string& name) {
  return refusal({Errc::kNotFound,
                  "there is no session \"" + name + "\"",
                  {},
                  "it may have expired; see GET /v1/state"});
}

json::object facts_of(const std::string& name, const Digest& artifact, const RwkvState& state) {
  return {{"id", name},
          {"object", "state"},
          {"artifact", artifact.hex()},
          {"tokens", state.step.value()},
          {"bytes", state.bytes()}};
}

}  // namespace

bool StateApi::owns(std::string_view path) {
  return path.starts_with(kRoot) && (path.size() == kRoot.size() || path[kRoot.size()] == '/');
}

Task<HttpResponse> StateApi::handle(HttpRequest request) {
  std::string_view rest = std::string_view(request.path).substr(kRoot.size());
  if (rest.empty() || rest == "/") {
    if (request.method == "GET") co_return list();
    co_return error_response(405, "the list is only read", "invalid_request_error");
  }
  rest.remove_prefix(1);
  const bool branches = rest.ends_with(kBranch);
  if (branches) rest.remove_suffix(kBranch.size());
  std::string name(rest);
  if (const auto named = check_state_name(name); !named) co_return refusal(named.error());
  if (branches && request.method == "POST") co_return branch(name, request.body);
  if (!branches && request.method == "GET") co_return co_await export_state(std::move(name));
  if (!branches && (request.method == "PUT" || request.method == "POST")) {
    co_return co_await import_state(std::move(name), std::move(request.body));
  }
  if (!branches && request.method == "DELETE") co_return drop(name);
  co_return error_response(405, "no " + request.method + " here", "invalid_request_error");
}

HttpResponse StateApi::list() {
  json::array states;
  for (const KeptStates::Facts& facts : states_.all()) {
    states.push_back(json::object{
        {"id", facts.name},
        {"object", "state"},
        {"artifact", facts.artifact.hex()},
        {"tokens", facts.tokens.value()},
        {"bytes", facts.bytes},
        {"expires_in_s", std::chrono::duration<double>(kKeptStateLifetime - facts.idle).count()}});
  }
  return json_response(
      200, json::serialize(json::object{{"object", "list"}, {"data", std::move(states)}}));
}

Task<HttpResponse> StateApi::export_state(std::string name) {
  const auto kept = states_.find(name);
  if (kept == nullptr) co_return absent(name);
  Buffer saved;
  std::function<void()> job = [&] { saved = kept->state.save(kept->artifact); };
  co_await env_.compute.run(std::move(job), kSumCost);
  co_return HttpResponse{
      200, {{"Content-Type", "application/octet-stream"}}, std::string(as_text(saved))};
}

Task<HttpResponse> StateApi::import_state(std::string name, std::string bytes) {
  const auto model = host_.current();
  if (model == nullptr) {
    co_return error_response(503, "no model is active yet", "not_ready");
  }
  Result<RwkvState> state = fail(Errc::kCancelled, "not read");
  std::function<void()> job = [&] {
    state = RwkvState::restore(as_bytes(bytes), model->model->config(), model->digest);
  };
  co_await env_.compute.run(std::move(job), kSumCost);
  if (!state) co_return refusal(state.error());
  const json::object facts = facts_of(name, model->digest, *state);
  const auto put = states_.put(name, {model->digest, std::move(*state)});
  if (!put) co_return refusal(put.error());
  co_return json_response(200, json::serialize(facts));
}

HttpResponse StateApi::branch(const std::string& name, const std::string& body) {
  boost::system::error_code error;
  const json::value asked = json::parse(body, error);
  const json::value* to =
      !error && asked.is_object() ? asked.get_object().if_contains("to") : nullptr;
  if (to == nullptr || !to->is_string()) {
    return refusal({Errc::kUsage, "\"to\" must be the branch's name", {}, {}});
  }
  const std::string target{std::string_view(to->get_string())};
  if (const auto named = check_state_name(target); !named) return refusal(named.error());
  const auto kept = states_.find(name);
  if (kept == nullptr) return absent(name);
  if (states_.find(target) != nullptr) {
    return refusal({Errc::kConflict,
                    "there is a session \"" + target + "\" already",
                    {},
                    "delete it, or choose another name"});
  }
  const auto put = states_.put(target, *kept);
  if (!put) return refusal(put.error());
  return json_response(200, json::serialize(facts_of(target, kept->artifact, kept->state)));
}

HttpResponse StateApi::drop(const std::string& name) {
  const auto removed = states_.remove(name);
  if (!removed) return refusal(removed.error());
  if (!*removed) return absent(name);
  return json_response(200, json::serialize(json::object{{"id", name}, {"deleted", true}}));
}

}  // namespace skein
