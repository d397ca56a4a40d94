#include "coordinator/app/internal/admin_client.h"

#include "common/env/disk.h"
#include "common/http/http.h"

namespace skein::admin {

namespace json = boost::json;

namespace {

constexpr std::uint64_t kMaxTokenFile = 4096;
constexpr std::chrono::seconds kCallLimit{120};  // an upload of the largest artifact, and its check

std::string first_line(std::string_view text) {
  return std::string(text.substr(0, text.find_first_of("\r\n")));
}

// The coordinator's own words, with its kind of error.
Error error_of(const HttpResponse& response, const json::object* body) {
  Error error{Errc::kUnavailable, "the coordinator answered " + std::to_string(response.status), "",
              ""};
  const json::value* said = body == nullptr ? nullptr : body->if_contains("error");
  if (said == nullptr || !said->is_object()) return error;
  const json::value* message = said->get_object().if_contains("message");
  const json::value* type = said->get_object().if_contains("type");
  if (message != nullptr && message->is_string()) error.what = message->get_string().c_str();
  for (std::uint8_t number = 1; number <= 13; ++number) {
    const auto code = static_cast<Errc>(number);
    if (type != nullptr && type->is_string() && type->get_string() == name_of(code))
      error.code = code;
  }
  return error;
}

}  // namespace

Result<Endpoint> endpoint_of_url(const std::string& url) {
  std::string rest = url;
  constexpr std::string_view kScheme = "http://";
  if (rest.starts_with("https://")) {
    return fail(Errc::kUnsupported, "the tool speaks plain HTTP to the admin port", url,
                "reach it over the loopback or a tunnel: http://127.0.0.1:7071");
  }
  if (rest.starts_with(kScheme)) rest.erase(0, kScheme.size());
  while (rest.ends_with('/')) rest.pop_back();
  auto endpoint = parse_endpoint(rest);
  if (!endpoint) {
    return fail(Errc::kUsage, "\"" + url + "\" is not the address of a coordinator", {},
                "write it as http://HOST:PORT");
  }
  return endpoint;
}

Task<Result<AdminClient>> AdminClient::open(Env env, Access access) {
  CO_TRY(Endpoint to, endpoint_of_url(access.coordinator));
  if (access.token_file.empty()) {
    co_return fail(Errc::kUsage, "the admin token is not given", "--token-file",
                   "name the coordinator's DATA_DIR/admin.token, or set SKEIN_TOKEN_FILE");
  }
  CO_TRY(const Buffer text, co_await read_file(env.disk, access.token_file, kMaxTokenFile));
  co_return AdminClient(env, std::move(to), first_line(as_text(text)));
}

Task<Result<json::object>> AdminClient::call(std::string method, std::string path,
                                             std::string body) {
  HttpCall request;
  request.to = to_;
  request.request.method = std::move(method);
  request.request.path = "/api/v1/" + path;
  request.request.headers["authorization"] = "Bearer " + token_;
  request.request.headers["content-type"] =
      body.starts_with('{') ? "application/json" : "application/octet-stream";
  request.request.body = std::move(body);
  Task<Result<HttpResponse>> calling =
      http_call(env_, std::move(request), env_.clock.now() + kCallLimit);
  CO_TRY(const HttpResponse response, co_await std::move(calling));
  boost::system::error_code broken;
  json::value value = json::parse(response.body, broken);
  json::object* object = !broken && value.is_object() ? &value.get_object() : nullptr;
  if (response.status >= 300) co_return tl::unexpected(error_of(response, object));
  if (object == nullptr) {
    co_return fail(Errc::kCorrupt, "the coordinator's answer is not a JSON object", to_string(to_),
                   "is this the admin port?");
  }
  co_return std::move(*object);
}

}  // namespace skein::admin
