#include "coordinator/app/internal/admin_api.h"

#include "common/crypto/sha256.h"
#include "coordinator/app/internal/dashboard.h"
#include "coordinator/app/internal/metrics.h"

namespace skein {

namespace {

constexpr std::string_view kApi = "/api/v1/";
constexpr std::size_t kMaxPathParts = 6;

std::vector<std::string> split_path(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty() && parts.size() <= kMaxPathParts) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    parts.emplace_back(path.substr(0, slash));
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return parts;
}

HttpResponse text_response(std::string type, std::string body) {
  return {200, {{"content-type", std::move(type)}}, std::move(body)};
}

HttpResponse problem(const Error& error) {
  return error_response(http_status(error.code), to_string(error), name_of(error.code));
}

}  // namespace

// "*" in a pattern is a segment the handler gets.
struct AdminApi::Route {
  std::string_view method;
  std::vector<std::string> pattern;
  Task<Answer> (AdminApi::*handler)(HttpRequest request, Parts parts);
};

const std::vector<AdminApi::Route>& AdminApi::routes() {
  static const std::vector<Route> kRoutes = {
      {"POST", {"tokens"}, &AdminApi::make_token},
      {"GET", {"devices"}, &AdminApi::list_devices},
      {"GET", {"devices", "*"}, &AdminApi::show_device},
      {"POST", {"devices", "*", "*"}, &AdminApi::operate_device},
      {"GET", {"artifacts"}, &AdminApi::list_artifacts},
      {"POST", {"artifacts"}, &AdminApi::publish_artifact},
      {"POST", {"uploads"}, &AdminApi::begin_upload},
      {"POST", {"uploads", "*", "*"}, &AdminApi::continue_upload},
      {"GET", {"artifacts", "*"}, &AdminApi::show_artifact},
      {"GET", {"rollouts"}, &AdminApi::list_rollouts},
      {"POST", {"rollouts"}, &AdminApi::create_rollout},
      {"GET", {"rollouts", "*"}, &AdminApi::show_rollout},
      {"POST", {"rollouts", "*", "*"}, &AdminApi::operate_rollout},
      {"GET", {"rounds"}, &AdminApi::list_rounds},
      {"POST", {"rounds"}, &AdminApi::open_round},
      {"GET", {"rounds", "*"}, &AdminApi::show_round},
      {"GET", {"sessions"}, &AdminApi::list_sessions},
  };
  return kRoutes;
}

AdminApi::AdminApi(Rooms& rooms, std::string token)
    : rooms_(rooms), token_hash_(sha256(as_bytes(token))) {}

Task<void> AdminApi::handle(HttpRequest request, HttpResponder& responder) {
  Task<Answer> answering = answer(std::move(request));
  Answer response = co_await std::move(answering);
  HttpResponse sent = response ? std::move(*response) : problem(response.error());
  const auto done = co_await responder.respond(std::move(sent));
  if (!done) rooms_.env.log.debug("admin answer not sent", {{"reason", done.error().what}});
}

Task<AdminApi::Answer> AdminApi::answer(HttpRequest request) {
  if (!request.path.starts_with(kApi)) co_return open_page(request);
  rooms_.traffic.admin_requests += 1;
  if (!authorized(request)) {
    HttpResponse refused = error_response(
        401, "this needs the admin token: \"Authorization: Bearer <token>\"", "refused");
    refused.headers.emplace_back("www-authenticate", "Bearer");
    co_return refused;
  }
  Task<Answer> answering = api(std::move(request));
  co_return co_await std::move(answering);
}

AdminApi::Answer AdminApi::open_page(const HttpRequest& request) const {
  if (request.method != "GET" && request.method != "HEAD")
    return error_response(405, "only GET is answered here", "usage");
  if (request.path == "/health") return json_response(200, R"({"status":"ok"})");
  if (request.path == "/ready") {
    if (draining_) return error_response(503, "the coordinator is going down", "unavailable");
    return json_response(200, R"({"status":"ready"})");
  }
  if (request.path == "/metrics")
    return text_response("text/plain; version=0.0.4", metrics_text(rooms_));
  if (request.path == "/version") {
    return json_response(200, boost::json::serialize(boost::json::object{
                                  {"name", "skein-coordinator"}, {"version", SKEIN_VERSION}}));
  }
  if (request.path == "/")
    return text_response("text/html; charset=utf-8", std::string(dashboard_page()));
  return error_response(404, "there is nothing at " + request.path, "not_found");
}

// Both sides are hashed first, so the time taken says nothing about the token.
bool AdminApi::authorized(const HttpRequest& request) const {
  constexpr std::string_view kBearer = "Bearer ";
  const std::string header = request.header("authorization");
  if (!header.starts_with(kBearer)) return false;
  const Digest given = sha256(as_bytes(std::string_view(header).substr(kBearer.size())));
  std::byte different{0};
  for (std::size_t i = 0; i < given.bytes.size(); ++i)
    different |= given.bytes[i] ^ token_hash_.bytes[i];
  return different == std::byte{0};
}

Task<AdminApi::Answer> AdminApi::api(HttpRequest request) {
  const Parts path = split_path(std::string_view(request.path).substr(kApi.size()));
  bool other_method = false;
  for (const Route& route : routes()) {
    Parts open;
    bool matches = route.pattern.size() == path.size();
    for (std::size_t i = 0; matches && i < path.size(); ++i) {
      if (route.pattern[i] == "*") {
        open.push_back(path[i]);
      } else {
        matches = route.pattern[i] == path[i];
      }
    }
    if (!matches) continue;
    if (route.method != request.method) {
      other_method = true;
      continue;
    }
    Task<Answer> answering = (this->*route.handler)(std::move(request), std::move(open));
    co_return co_await std::move(answering);
  }
  if (other_method) co_return error_response(405, "that method is not answered here", "usage");
  co_return error_response(404, "there is nothing at " + request.path, "not_found");
}

}  // namespace skein
